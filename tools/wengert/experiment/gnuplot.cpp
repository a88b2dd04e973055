#include "gnuplot.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

#include <wengert/models/files/atomic_file.hpp>

#include "../file_content.hpp"

extern char** environ;

namespace wengert::command::experiment {

namespace {

namespace fs = std::filesystem;

constexpr const char* house_style = R"(
  set encoding utf8
  set datafile missing 'nan'
  set border 3 lw 1 lc rgb '#555555'
  set tics out nomirror scale 0.5 textcolor rgb '#222222'
  set grid back lt 1 lw 1 lc rgb '#e2e2e2'
  set style fill solid noborder
  set errorbars 0.7
  set format '%g'
  set style arrow 1 heads size screen 0.004,90 lw 1.5 lc rgb '#222222'
  unset key
)";

// Runs gnuplot in the folder; what it says goes to a file there. Returns 0, or why it could not be started.
int run_gnuplot(const fs::path& folder, const std::string& script, const std::string& log, int& status) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  std::string program = "gnuplot", without_settings = "-d", argument = script;
  char* const arguments[] = {program.data(), without_settings.data(), argument.data(), nullptr};
  pid_t child = 0;
  const int error = posix_spawnp(&child, "gnuplot", &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return error;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

// The line of gnuplot's complaint that says something.
std::string complaint(const fs::path& log) {
  std::ifstream in(log);
  std::string line, last = "no reason given";
  while (std::getline(in, line)) {
    if (line.find_first_not_of(" \t^") != std::string::npos) last = line;
  }
  return last.substr(last.find_first_not_of(" \t"));
}

// Whether its pictures are there, of this script and these data.
bool is_drawn(const Sketch& sketch, const fs::path& folder) {
  const auto file = [&](const char* suffix) { return folder / (sketch.name() + suffix); };
  std::error_code ignored;
  return fs::exists(file(".svg"), ignored) && fs::exists(file(".png"), ignored) && file_content(file(".gp")) == sketch.script() &&
         file_content(file(".dat")) == sketch.data();
}

}  // namespace

std::string script_text(const std::string& text) {
  std::string result = "'";
  for (const char letter : text) {
    if (letter == '\'') result += "''";
    else if (letter == '{' || letter == '}') result += letter == '{' ? '(' : ')';  // the script stands in a block
    else result += letter == '\n' ? ' ' : letter;
  }
  return result + "'";
}

std::string data_text(const std::string& text) {
  std::string result = "\"";
  for (const char letter : text) result += letter == '"' || letter == '\\' || letter == '\n' ? ' ' : letter;
  return result + "\"";
}

Sketch::Sketch(std::string name, int width, int height) : name_(std::move(name)), width_(width), height_(height) {}

void Sketch::add(const std::string& command) { commands_ += "  " + command + '\n'; }

std::string Sketch::data(const std::string& lines) {
  data_ += (blocks_ == 0 ? "" : "\n\n") + lines;
  return fmt::format("'{}.dat' index {}", name_, blocks_++);
}

std::string Sketch::screen(double x, double y) const { return fmt::format("screen {:.4f}, screen {:.4f}", x / width_, 1 - y / height_); }

void Sketch::title(const std::string& text) {
  add(fmt::format("set label {} at {} center font ',17'", script_text(text), screen(width_ / 2.0, 20)));
}

void Sketch::panel(double left, double top, double right, double bottom) {
  add(fmt::format("set lmargin at screen {:.4f}; set rmargin at screen {:.4f}", left / width_, right / width_));
  bottom_ = bottom;
  add(fmt::format("set tmargin at screen {:.4f}; set bmargin at screen {:.4f}", 1 - top / height_, 1 - bottom / height_));
}

void Sketch::x_axis(const std::string& text) {
  constexpr double beneath = 49;
  add(fmt::format("set label {} at graph 0.5, screen {:.4f} center", script_text(text), 1 - (bottom_ + beneath) / height_));
}

void Sketch::y_axis(const std::string& text) {
  constexpr double from_left = 16;
  add(fmt::format("set label {} at screen {:.4f}, graph 0.5 center rotate by 90", script_text(text), from_left / width_));
}

void Sketch::entry(const Entry& entry, double x, double y) {
  constexpr double beside = 14;
  add(fmt::format("set label '' at {} point lw 2 ps 1.3*dot {}", screen(x, y), entry.look));
  add(fmt::format("set label {} at {} left", script_text(entry.title), screen(x + beside, y)));
}

void Sketch::legend(const std::vector<Entry>& entries, double y) {
  constexpr double letter = 8.2, beside = 40;  // pixels of a letter, and of the point with the space before the next
  double width = -beside / 2;
  for (const Entry& each : entries) width += letter * static_cast<double>(each.title.size()) + beside;
  double x = (width_ - width) / 2;
  for (const Entry& each : entries) {
    entry(each, x, y);
    x += letter * static_cast<double>(each.title.size()) + beside;
  }
}

void Sketch::legend(const std::vector<Entry>& entries, double x, double y) {
  constexpr double line = 24;
  for (std::size_t i = 0; i < entries.size(); ++i) entry(entries[i], x, y + line * static_cast<double>(i));
}

std::string Sketch::script() const {
  return fmt::format(R"(# gnuplot {0}.gp, in this folder, draws {0}.svg and {0}.png from {0}.dat
do for [png = 0:1] {{
  reset
  if (png) {{
    set terminal pngcairo noenhanced size {3},{4} background '#ffffff' font 'sans-serif,15' fontscale 1.5 linewidth 2 pointscale 2
    set output '{0}.png'; dot = 1
  }} else {{
    set terminal svg noenhanced size {1},{2} background '#ffffff' font 'sans-serif,15'
    set output '{0}.svg'; dot = 0.7
  }}
{5}
{6}  unset output
}}
)",
                     name_, width_, height_, 2 * width_, 2 * height_, house_style, commands_);
}

Drawn draw(const Sketch& sketch, const fs::path& folder, std::string& message) {
  const std::string script = sketch.name() + ".gp", log = sketch.name() + ".log";
  if (is_drawn(sketch, folder)) return Drawn::yes;
  std::error_code ignored;
  const auto remove_pictures = [&] {
    for (const char* const suffix : {".svg", ".png"}) fs::remove(folder / (sketch.name() + suffix), ignored);
  };
  remove_pictures();                     // they may be of other data
  fs::remove(folder / script, ignored);  // it comes last: where it is, the pictures are whole
  write_file_atomically(folder / (script + ".new"), sketch.script());
  write_file_atomically(folder / (sketch.name() + ".dat"), sketch.data());
  int status = 0;
  const int error = run_gnuplot(folder, script + ".new", log, status);
  const bool drawn = error == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (!drawn) remove_pictures();
  fs::rename(folder / (script + ".new"), folder / script);
  if (drawn || error == ENOENT) {
    fs::remove(folder / log, ignored);
    return drawn ? Drawn::yes : Drawn::no_gnuplot;
  }
  message = error != 0 ? std::strerror(error) : complaint(folder / log);
  return Drawn::failed;
}

}  // namespace wengert::command::experiment
