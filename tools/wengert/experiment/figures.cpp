#include "figures.hpp"

#include <fmt/format.h>

#include "../output.hpp"

namespace wengert::command::experiment {

std::vector<Figure> figures_of(const Results& results) {
  std::vector<Figure> all;
  for (auto part :
       {speed_figures(results), accuracy_figures(results),
        sweep_figure(results, "batch", "Accuracy and time against the batch", "images a batch"),
        sweep_figure(results, "rate", "Accuracy and time against the learning rate", "learning rate"),
        sweep_figure(results, "examples", "Accuracy and time against the training examples", "training examples"), curves_figures(results),
        recall_figures(results), shift_figures(results), ladder_figures(results), scaling_figures(results)}) {
    std::move(part.begin(), part.end(), std::back_inserter(all));
  }
  return all;
}

std::vector<Figure> write_figures(const Results& results, const std::filesystem::path& dir) {
  std::vector<Figure> all = figures_of(results), drawn;
  if (all.empty()) return drawn;
  const std::filesystem::path folder = dir / figures_folder;
  std::filesystem::create_directories(folder);
  bool told = false;
  for (Figure& figure : all) {
    std::string message;
    switch (draw(figure.sketch, folder, message)) {
      case Drawn::yes: drawn.push_back(std::move(figure)); break;
      case Drawn::failed: warn(fmt::format("figure '{}' was not drawn; gnuplot: {}", figure.sketch.name(), message)); break;
      case Drawn::no_gnuplot:
        if (!told) warn("no figures: gnuplot is missing, which Debian's package gnuplot-nox has (sudo apt-get install gnuplot-nox)");
        told = true;
    }
  }
  return drawn;
}

}  // namespace wengert::command::experiment
