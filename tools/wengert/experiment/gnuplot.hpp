// Figures drawn by gnuplot, in one house style.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace wengert::command::experiment {

// A text in a script, and one in a data file.
std::string script_text(const std::string& text);
std::string data_text(const std::string& text);

// A legend's: its point, as `lc rgb '#000000' pt 7`, and its text.
struct Entry {
  std::string look, title;
};

// The script and the data of a figure; lengths are pixels from its upper left corner.
class Sketch {
 public:
  Sketch(std::string name, int width, int height);

  void add(const std::string& command);                              // sizes of points are multiples of `dot`: an SVG's are larger
  std::string data(const std::string& lines);                        // a block of the data file: what `plot` calls it
  void title(const std::string& text);                               // above all panels
  void panel(double left, double top, double right, double bottom);  // the area within the axes
  void x_axis(const std::string& text);                              // what the axes of the last panel() are called
  void y_axis(const std::string& text);
  void legend(const std::vector<Entry>& entries, double y = 50);       // in a row, centred
  void legend(const std::vector<Entry>& entries, double x, double y);  // in a column

  const std::string& name() const { return name_; }
  int width() const { return width_; }
  std::string script() const;  // draws NAME.svg and NAME.png from NAME.dat
  const std::string& data() const { return data_; }

 private:
  std::string screen(double x, double y) const;
  void entry(const Entry& entry, double x, double y);

  std::string name_;
  int width_, height_;
  double bottom_ = 0;  // of the last panel
  std::string commands_, data_;
  int blocks_ = 0;
};

enum class Drawn { yes, failed, no_gnuplot };

// Writes NAME.gp and NAME.dat into the folder and runs gnuplot there, unless both are there already with their pictures. Where that fails,
// `message` says how.
Drawn draw(const Sketch& sketch, const std::filesystem::path& folder, std::string& message);

}  // namespace wengert::command::experiment
