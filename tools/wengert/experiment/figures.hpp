// The experiments as figures.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "gnuplot.hpp"
#include "results.hpp"

namespace wengert::command::experiment {

struct Figure {
  std::string experiment;
  std::string caption;
  Sketch sketch;
};

// Those that the rows give; nothing is drawn.
std::vector<Figure> figures_of(const Results& results);

// Its parts, in figures/.
std::vector<Figure> speed_figures(const Results& results);
std::vector<Figure> accuracy_figures(const Results& results);
std::vector<Figure> sweep_figure(const Results& results, const std::string& experiment, const std::string& title, const std::string& axis);
std::vector<Figure> curves_figures(const Results& results);
std::vector<Figure> recall_figures(const Results& results);
std::vector<Figure> shift_figures(const Results& results);
std::vector<Figure> ladder_figures(const Results& results);
std::vector<Figure> scaling_figures(const Results& results);

constexpr const char* figures_folder = "figures";

// Draws them in dir/figures and returns those that came out. A line on standard error says what did not, and which package is missing.
std::vector<Figure> write_figures(const Results& results, const std::filesystem::path& dir);

}  // namespace wengert::command::experiment
