// What a training confuses, and what a shift of the digits does to it.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "../figures.hpp"
#include "../formatting.hpp"
#include "../implementations.hpp"
#include "axes.hpp"

namespace wengert::command::experiment {

namespace {

Figure recall_bars(const Recall& all) {
  double least = 100;
  std::string lines;
  for (std::size_t c = 0; c < all.of_class.size(); ++c) {
    const double mean = 100 * all.of_class[c].mean, deviation = 100 * deviation_or_0(all.of_class[c]);
    if (std::isnan(mean)) continue;
    least = std::min(least, mean - deviation);
    lines += fmt::format("{} {:g} {:g} {:g} {}\n", c, mean, deviation, mean + deviation, data_text(fmt::format("{:.1f}", mean)));
  }
  const double low = std::max(0.0, std::floor(least - 0.5)), span = 100 - low;
  const double step = span <= 4 ? 0.5 : span <= 8 ? 1 : span <= 20 ? 2 : span <= 50 ? 5 : 10;
  Sketch sketch("recall", usual_width, 366);
  sketch.title("Recall of each class on the test set");
  sketch.panel(panel_left, 44, panel_right, 302);
  sketch.add(fmt::format("set xrange [-0.6:{}.6]; set xtics 1 scale 0; set grid noxtics", all.of_class.size() - 1));
  sketch.add(fmt::format("set yrange [{:g}:{:g}]; set ytics {:g},{:g},100", low, 100 + 0.12 * span, low, step));
  sketch.x_axis("digit");
  sketch.y_axis("recall, %");
  const std::string data = sketch.data(lines);
  plot(sketch, {fmt::format("{} using 1:2:(0.7) with boxes lc rgb '{}'", data, colour("plan")),
                fmt::format("{} using 1:($2-$3):(0):(2*$3) with vectors arrowstyle 1", data),
                fmt::format("{} using 1:4:5 with labels offset 0,0.8 font ',14'", data)});
  return {"recall", fmt::format("Recall of each class: the part of its test digits that is recognised. The axis begins at {:g}%.", low),
          std::move(sketch)};
}

Figure confusion_map(const Recall& all) {
  double most = 1;
  for (const auto& row : all.confusion) most = std::max(most, *std::max_element(row.begin(), row.end()));
  std::string fields, counts;
  const std::size_t classes = all.confusion.size();
  for (std::size_t c = 0; c < classes; ++c) {
    for (std::size_t predicted = 0; predicted < classes; ++predicted) {
      const double count = all.confusion[c][predicted], depth = std::log1p(count) / std::log1p(most);
      constexpr double dark_ground = 0.75;
      fields += fmt::format("{} {} {:.4f}\n", predicted, c, depth);
      if (count > 0) counts += fmt::format("{} {} {:.0f} {}\n", predicted, c, count, depth > dark_ground ? 0xffffffUL : 0UL);
    }
  }
  Sketch sketch("confusion", usual_width, usual_width);
  sketch.title("Confusion matrix of the test set");
  sketch.panel(74, 42, usual_width - 30, usual_width - 62);
  sketch.add(
      "set palette defined (0 '#ffffff', 0.25 '#dcedf8', 0.6 '#7cc0ea', 1 '#0072B2'); set cbrange [0:1]; unset colorbox; unset grid");
  sketch.add(fmt::format("set xrange [-0.5:{0}.5]; set yrange [{0}.5:-0.5]; set tics scale 0; set xtics 1; set ytics 1", classes - 1));
  sketch.add("set border 15");
  sketch.x_axis("predicted");
  sketch.y_axis("true");
  std::vector<std::string> parts = {sketch.data(fields) + " using 1:2:3 with image pixels"};
  if (!counts.empty()) parts.push_back(sketch.data(counts) + " using 1:2:3:4 with labels font ',14' tc rgb variable");
  plot(sketch, parts);
  const std::string runs = all.runs > 1 ? fmt::format(" The sum of {} runs.", all.runs) : "";
  return {"recall", "Confusion matrix: counts of test digits by true and by predicted class. Colours go by the logarithm." + runs,
          std::move(sketch)};
}

Figure worst_digits(const std::vector<WrongDigit>& digits) {
  constexpr std::size_t columns = 6, side = 28, across = 36, down = 42, margin = 4;
  const std::size_t rows = (digits.size() + columns - 1) / columns;
  constexpr double pixel = (usual_width - 20.0) / (columns * across), top = 40;
  std::vector<std::vector<int>> page(rows * down, std::vector<int>(columns * across, 0));
  const double bottom = top + pixel * static_cast<double>(rows * down);
  Sketch sketch("worst", usual_width, static_cast<int>(bottom) + 8);
  sketch.title("The worst errors: label → predicted");
  sketch.panel(10, top, usual_width - 10, bottom);
  sketch.add("unset border; unset tics; unset grid; unset colorbox; set palette defined (0 '#ffffff', 1 '#000000'); set cbrange [0:255]");
  sketch.add(fmt::format("set xrange [-0.5:{}.5]; set yrange [{}.5:-0.5]", columns * across - 1, rows * down - 1));
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const std::size_t left = i % columns * across + margin, above = i / columns * down + margin;
    for (std::size_t p = 0; p < side * side; ++p) page[above + p / side][left + p % side] = digits[i].pixels[p];
    sketch.add(fmt::format("set object rectangle from {}.5,{}.5 to {}.5,{}.5 front fs empty border lc rgb '#cccccc'", left - 1, above - 1,
                           left + side - 1, above + side - 1));
    sketch.add(fmt::format("set label '{} → {}' at {},{} center front font ',16'", digits[i].label, digits[i].predicted, left + side / 2,
                           above + side + 5));
  }
  std::string lines;
  for (const auto& row : page) {
    for (const int value : row) lines += fmt::format("{} ", value);
    lines += '\n';
  }
  plot(sketch, {sketch.data(lines) + " matrix with image"});
  return {"recall", "Test digits that are recognised wrongly with the greatest confidence: label and prediction.", std::move(sketch)};
}

}  // namespace

std::vector<Figure> recall_figures(const Results& results) {
  const Recall all = recall(results);
  std::vector<Figure> figures;
  if (!all.of_class.empty()) {
    figures.push_back(recall_bars(all));
    figures.push_back(confusion_map(all));
  }
  if (!all.worst.empty()) figures.push_back(worst_digits(all.worst));
  return figures;
}

std::vector<Figure> shift_figures(const Results& results) {
  const std::vector<ShiftCurve> all = shift_curves(results);
  Sketch sketch("shift", usual_width, 384);
  sketch.title("Digits shifted by some pixels");
  sketch.panel(panel_left, 74, panel_right, 322);
  sketch.x_axis("shift, pixels");
  sketch.y_axis("test accuracy, %");
  sketch.add("set yrange [0:100]; set xtics 1");
  Range range;
  std::vector<std::string> parts;
  std::vector<Entry> legend;
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::string lines;
    for (const auto& [pixels, accuracy] : all[i].accuracy) {
      if (accuracy.count == 0) continue;
      range.take(pixels);
      const double mean = 100 * accuracy.mean, deviation = 100 * deviation_or_0(accuracy);
      lines += fmt::format("{:g} {:g} {:g} {:g}\n", pixels, mean, mean - deviation, mean + deviation);
    }
    if (lines.empty()) continue;
    legend.push_back({look_of(all[i].network, i), all[i].name()});
    add_curve(parts, sketch.data(lines), legend.back().look);
  }
  if (parts.empty()) return {};
  sketch.legend(legend);
  sketch.add(fmt::format("set xrange [{:g}:{:g}]", range.low - 0.2, range.high + 0.2));
  plot(sketch, parts);
  return {{"shift", "Accuracy on test digits that are shifted, of a convolutional network and of one without convolutions.",
           std::move(sketch)}};
}

}  // namespace wengert::command::experiment
