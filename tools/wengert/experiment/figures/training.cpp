// Accuracy and time of trainings against what is varied, and one training epoch by epoch.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "../figures.hpp"
#include "../formatting.hpp"
#include "../implementations.hpp"
#include "axes.hpp"

namespace wengert::command::experiment {

std::vector<Figure> sweep_figure(const Results& results, const std::string& experiment, const std::string& title, const std::string& axis) {
  constexpr double guessing = 0.1;
  std::vector<double> values;
  std::vector<Spread> accuracies;
  std::string accuracy_lines, failed, second_lines;
  Range value_range, second_range;
  bool none_learned = false;  // at some value
  for (const SweepPoint& point : sweep(results, experiment)) {
    values.push_back(point.value);
    value_range.take(point.value);
    if (point.accuracy.count > 0) {
      accuracies.push_back(point.accuracy);
      accuracy_lines += error_line(point.value, point.accuracy);
    }
    none_learned = none_learned || (point.failed > 0 && point.accuracy.count == 0);
    if (point.failed > 0)
      failed += fmt::format("{:g} {:g}\n", point.value, error_of(point.accuracy.count > 0 ? point.accuracy.mean : guessing));
    if (point.seconds.count > 0) {
      const double mean = point.seconds.mean, deviation = deviation_or_0(point.seconds), low = std::max(mean - deviation, mean / 2);
      second_range.take(low);
      second_range.take(mean + deviation);
      second_lines += fmt::format("{:g} {:g} {:g} {:g}\n", point.value, mean, low, mean + deviation);
    }
  }
  if (accuracies.empty() || second_lines.empty()) return {};
  Sketch sketch(experiment, usual_width, 520);
  sketch.title(title);
  sketch.add("set multiplot");
  const Range x = value_range.widened(1.25, 1.25);
  constexpr std::size_t most_named = 9;
  if (values.size() > most_named) values = log_steps(x);
  sketch.add(log_axis('x', x));
  sketch.add(tics('x', apart(values, x), false));
  Range errors = error_range(accuracies);
  if (none_learned) errors.take(error_of(guessing));
  sketch.add(accuracy_axis(errors));
  sketch.panel(panel_left, failed.empty() ? 50 : 74, panel_right, 262);
  sketch.y_axis("test accuracy, %");
  std::vector<std::string> parts;
  add_curve(parts, sketch.data(accuracy_lines), look_of("plan"));
  if (!failed.empty()) {
    parts.push_back(sketch.data(failed) + " using 1:2 with points pt 2 ps 2*dot lw 2 lc rgb '#000000'");
    sketch.legend({{"lc rgb '#000000' pt 2", "some seed failed"}});
  }
  plot(sketch, parts);

  sketch.add("unset label; unset logscale y; set ytics autofreq");
  sketch.add(tics('x', apart(values, x)));
  constexpr double wide = 5;
  if (second_range.high / second_range.low > wide) sketch.add(log_axis('y', second_range.widened(1.3, 1.3)));
  else sketch.add(fmt::format("set yrange [0:{:g}]", 1.15 * second_range.high));
  sketch.panel(panel_left, 285, panel_right, 460);
  sketch.x_axis(axis);
  sketch.y_axis("seconds a training");
  parts.clear();
  add_curve(parts, sketch.data(second_lines), look_of("plan"));
  plot(sketch, parts);
  sketch.add("unset multiplot");
  return {{experiment,
           title + ": mean and standard deviation over the seeds. The axis of the accuracy is logarithmic in the error." +
               (failed.empty() ? "" : " A cross: some seed's loss became infinite, or it ended no better than guessing."),
           std::move(sketch)}};
}

std::vector<Figure> curves_figures(const Results& results) {
  const std::vector<Curves> all = training_curves(results);
  Range losses;
  std::vector<Spread> accuracies;
  std::size_t epochs = 0;
  for (const Curves& each : all) {
    for (const Spread& loss : each.loss) {
      if (loss.mean > 0) losses.take(loss.mean);
    }
    accuracies.insert(accuracies.end(), each.accuracy.begin(), each.accuracy.end());
    epochs = std::max({epochs, each.loss.size(), each.accuracy.size()});
  }
  const Range errors = error_range(accuracies);
  if (losses.empty() || errors.empty()) return {};
  Sketch sketch("curves", usual_width, 560);
  constexpr double left = panel_left + 16;  // small losses have long numbers
  sketch.title("Training, epoch by epoch");
  sketch.add("set multiplot");
  sketch.add(fmt::format("set xrange [0.8:{}.2]; set format x ''", epochs));
  constexpr std::size_t most_tics = 12;
  if (epochs <= most_tics) sketch.add("set xtics 1");
  sketch.add(log_axis('y', losses.widened(1.3, 1.3)));
  sketch.panel(left, 74, panel_right, 285);
  sketch.y_axis("training loss");
  std::vector<std::string> above, below;
  std::vector<Entry> legend;
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::string loss_lines, accuracy_lines;
    for (std::size_t e = 0; e < all[i].loss.size(); ++e) {
      const Spread& loss = all[i].loss[e];
      if (loss.mean > 0) {
        const double deviation = std::min(deviation_or_0(loss), loss.mean / 2);
        loss_lines += fmt::format("{} {:g} {:g} {:g}\n", e + 1, loss.mean, loss.mean - deviation, loss.mean + deviation);
      }
    }
    for (std::size_t e = 0; e < all[i].accuracy.size(); ++e) {
      if (all[i].accuracy[e].count > 0) accuracy_lines += error_line(static_cast<double>(e + 1), all[i].accuracy[e]);
    }
    const std::string look = look_of(all[i].implementation, i);
    if (!loss_lines.empty()) add_curve(above, sketch.data(loss_lines), look);
    if (!accuracy_lines.empty()) add_curve(below, sketch.data(accuracy_lines), look);
    legend.push_back({look, std::string(shown(all[i].implementation))});
  }
  sketch.legend(legend);
  plot(sketch, above);
  sketch.add("unset label; set format x '%g'");
  sketch.add(accuracy_axis(errors));
  sketch.panel(left, 307, panel_right, 500);
  sketch.x_axis("epoch");
  sketch.y_axis("test accuracy, %");
  plot(sketch, below);
  sketch.add("unset multiplot");
  return {{"curves",
           "Training loss and accuracy on the test set after each epoch. Both axes are logarithmic, that of the accuracy in the error.",
           std::move(sketch)}};
}

}  // namespace wengert::command::experiment
