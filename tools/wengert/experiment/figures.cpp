#include "figures.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include <fmt/format.h>

#include "../output.hpp"
#include "analysis.hpp"
#include "formatting.hpp"
#include "implementations.hpp"

namespace wengert::command::experiment {

namespace {

constexpr int usual_width = 540;  // that a phone shows still readable

// ---- axes

struct Range {
  double low = nothing, high = nothing;

  void take(double value) {
    if (std::isnan(value)) return;
    low = std::isnan(low) ? value : std::min(low, value);
    high = std::isnan(high) ? value : std::max(high, value);
  }
  bool empty() const { return std::isnan(low); }
  Range widened(double below, double above) const { return {low / below, high * above}; }
};

std::string tics(char axis, const std::vector<double>& values, bool named = true) {
  std::string list;
  for (const double value : values)
    list += fmt::format("{}{} {:g}", list.empty() ? "" : ", ", script_text(named ? plain(value) : ""), value);
  return fmt::format("set {}tics ({})", axis, list);
}

// 1, 10, 100, and 2 and 5 between them where few of those lie in the range.
std::vector<double> log_steps(const Range& range) {
  std::vector<double> steps;
  const bool few = range.high / range.low < 200;
  for (double decade = std::floor(std::log10(range.low)); decade <= std::log10(range.high); ++decade) {
    for (const double digit : {1, 2, 5}) {
      const double value = digit * std::pow(10, decade);
      if ((few || digit == 1) && value >= range.low * 0.999 && value <= range.high * 1.001) steps.push_back(value);
    }
  }
  return steps;
}

// The greatest of 1, 2, 5, 10, 20 .. that is no greater.
double round_below(double value) {
  const double decade = std::pow(10, std::floor(std::log10(value)));
  return decade * (value >= 5 * decade ? 5 : value >= 2 * decade ? 2 : 1);
}

std::string log_axis(char axis, const Range& range) {
  return fmt::format("set logscale {0}; set {0}range [{1:g}:{2:g}]; {3}", axis, range.low, range.high, tics(axis, log_steps(range)));
}

double deviation_or_0(const Spread& spread) { return std::isnan(spread.deviation) ? 0 : spread.deviation; }

// Accuracies close to 100% are spread: drawn is the error, on a logarithmic axis, and written is the accuracy.
double error_of(double accuracy) {
  constexpr double least = 0.01;
  return std::max(100 * (1 - accuracy), least);
}

std::string accuracy_axis(const Range& errors) {
  constexpr double wanted[] = {99, 90,   98,   95,   50,   99.5, 80,   0,    99.8, 97,   99.9, 99.2, 98.5, 70, 96,
                               93, 99.7, 99.6, 99.4, 99.3, 99.1, 98.8, 98.9, 98.7, 98.6, 98.2, 97.5, 96.5, 85, 60};  // the best first
  const Range range = errors.widened(1.15, 1.15);
  constexpr double apart = 0.09;  // of the axis
  const double length = std::log(range.high / range.low);
  std::vector<double> taken;
  for (const double accuracy : wanted) {
    const double error = 100 - accuracy;
    if (error < range.low || error > range.high) continue;
    const auto close = [&](double other) { return std::abs(std::log(other / error)) < apart * length; };
    if (std::none_of(taken.begin(), taken.end(), close)) taken.push_back(error);
  }
  std::string list;
  for (const double error : taken) list += fmt::format("{}'{:g}' {:g}", list.empty() ? "" : ", ", 100 - error, error);
  return fmt::format("set logscale y; set yrange [{:g}:{:g}]; set ytics ({})", range.high, range.low, list);
}

Range error_range(const std::vector<Spread>& accuracies) {
  Range range;
  for (const Spread& a : accuracies) {
    if (a.count == 0) continue;
    const double deviation = deviation_or_0(a);
    range.take(error_of(a.mean + deviation));
    range.take(error_of(a.mean - deviation));
  }
  return range;
}

// "x error low high" for yerrorbars on such an axis.
std::string error_line(double x, const Spread& accuracy) {
  const double deviation = deviation_or_0(accuracy);
  return fmt::format("{:g} {:g} {:g} {:g}\n", x, error_of(accuracy.mean), error_of(accuracy.mean + deviation),
                     error_of(accuracy.mean - deviation));
}

// A colour as the number that `lc rgb variable` reads from data.
unsigned long colour_number(const char* hex) { return std::stoul(hex + 1, nullptr, 16); }

void plot(Sketch& sketch, const std::vector<std::string>& parts) {
  std::string command;
  for (const std::string& part : parts) command += (command.empty() ? "plot " : ", \\\n    ") + part;
  sketch.add(command);
}

// Points, joined, with their errors; those first, because gnuplot leaves a white ring around their own points.
void add_curve(std::vector<std::string>& parts, const std::string& data, const std::string& look) {
  parts.push_back(fmt::format("{} using 1:2:3:4 with yerrorbars lw 2 ps 0.1 {}", data, look));
  parts.push_back(fmt::format("{} using 1:2 with linespoints lw 2 ps 1.1*dot {}", data, look));
}

std::string look_of(const std::string& name, std::size_t shape = 0) {
  constexpr int shapes[] = {7, 5, 9, 11, 13};
  return fmt::format("lc rgb '{}' pt {}", colour(name), shapes[shape % std::size(shapes)]);
}

// ---- speed

// A row that was not measured has its note in place of a bar.
void speed_bars(Sketch& sketch, const std::vector<SpeedRow>& rows) {
  Range range;
  for (const SpeedRow& row : rows) {
    for (const double ms : {row.ms, row.low, row.high}) range.take(ms);
  }
  constexpr double room_for_numbers = 4.5;
  range = {round_below(range.low / 1.3), range.high * room_for_numbers};
  std::string names, bars, numbers;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const SpeedRow& row = rows[i];
    names += fmt::format("{}{} {}", i > 0 ? ", " : "", script_text(row.name()), i);
    if (std::isnan(row.ms)) {
      numbers += fmt::format("{:g} {} {}\n", range.low, i, data_text(row.note.empty() ? "absent" : row.note));
      continue;
    }
    const double low = std::isnan(row.low) ? row.ms : row.low, high = std::isnan(row.high) ? row.ms : row.high;
    bars += fmt::format("{:g} {} {:g} {:g} {}\n", row.ms, i, low, high, colour_number(colour(row.implementation)));
    numbers += fmt::format("{:g} {} {}\n", high, i, data_text(significant(row.ms)));
  }
  const std::string data = sketch.data(bars);
  sketch.add(log_axis('x', range));
  sketch.x_axis("milliseconds a training step");
  sketch.add(fmt::format("set ytics scale 0 ({}); set grid noytics", names));
  plot(sketch, {fmt::format("{} using 1:2:({:g}):1:($2-0.38):($2+0.38):5 with boxxyerror lc rgb variable", data, range.low),
                data + " using 3:2:($4-$3):(0) with vectors arrowstyle 1",
                sketch.data(numbers) + " using 1:2:3 with labels left offset 0.8,0 font ',13'"});
}

// Ours and the report's, each against its own naive.
void speed_ratios(Sketch& sketch, const std::vector<SpeedRow>& rows) {
  Range range;
  std::string ours, places;
  std::map<int, std::string> reports;  // by cores
  for (std::size_t i = 0; i < rows.size(); ++i) {
    places += fmt::format("{}'' {}", i > 0 ? ", " : "", i);
    if (!std::isnan(rows[i].times_naive))
      ours += fmt::format("{:g} {} {}\n", rows[i].times_naive, i, colour_number(colour(rows[i].implementation)));
    range.take(rows[i].times_naive);
    for (const report::Figure& figure : rows[i].of_report) {
      const double times = report_times_naive(figure, rows[i].batch);
      range.take(times);
      reports[figure.cores > 1 ? figure.cores : 1] += fmt::format("{:g} {}\n", times, i);
    }
  }
  sketch.add(log_axis('x', range.widened(1.6, 1.6)));
  sketch.x_axis("times as fast as naive, 1T");
  sketch.add(fmt::format("set ytics scale 0 ({}); set grid ytics", places));
  std::vector<std::string> parts;
  std::vector<Entry> legend;
  if (!ours.empty()) {
    parts.push_back(sketch.data(ours) + " using 1:2:3 with points pt 7 ps 1.3*dot lc rgb variable");
    legend.push_back({"lc rgb '#666666' pt 7", "here"});
  }
  constexpr int shapes[] = {12, 8, 4};
  std::size_t shape = 0;
  for (const auto& [cores, lines] : reports) {
    const std::string look = fmt::format("lc rgb '{}' pt {}", colour("report"), shapes[shape++ % std::size(shapes)]);
    parts.push_back(fmt::format("{} using 1:2 with points ps 1.3*dot lw 2 {}", sketch.data(lines), look));
    legend.push_back({look, cores > 1 ? fmt::format("report, {} cores", cores) : "report"});
  }
  sketch.legend(legend);
  plot(sketch, parts);
}

Figure speed_figure(int batch, const std::vector<SpeedRow>& rows) {
  const bool compared =
      std::any_of(rows.begin(), rows.end(), [](const SpeedRow& r) { return !std::isnan(r.times_naive) || !r.of_report.empty(); });
  constexpr int width = 800, top = 74, row_height = 25, below = 66;
  const int bottom = top + row_height * static_cast<int>(rows.size());
  Sketch sketch(fmt::format("speed_{}", batch), width, bottom + below);
  sketch.title(fmt::format("A training step, batch {}", batch));
  sketch.add("set multiplot");
  sketch.add(fmt::format("set yrange [{}:-0.5]", static_cast<double>(rows.size()) - 0.5));
  sketch.panel(130, top, compared ? 455 : width - 30, bottom);
  speed_bars(sketch, rows);
  if (compared) {
    sketch.add("unset label");
    sketch.panel(485, top, width - 25, bottom);
    speed_ratios(sketch, rows);
  }
  sketch.add("unset multiplot");
  return {
      "speed",
      fmt::format("Time of a training step of batch {}: medians, with the lowest and the highest round; on the right each implementation "
                  "against the naive loops on one thread, here and in the report.",
                  batch),
      std::move(sketch)};
}

std::vector<Figure> speed(const Results& results) {
  std::map<int, std::vector<SpeedRow>> by_batch;
  for (const SpeedRow& row : speed_rows(results)) {
    if (!std::isnan(row.ms) || !row.of_report.empty()) by_batch[-row.batch].push_back(row);
  }
  std::vector<Figure> figures;
  for (const auto& [batch, rows] : by_batch) {
    if (std::any_of(rows.begin(), rows.end(), [](const SpeedRow& r) { return !std::isnan(r.ms); }))
      figures.push_back(speed_figure(-batch, rows));
  }
  return figures;
}

// ---- accuracy

std::vector<Figure> accuracy(const Results& results) {
  std::vector<std::string> names;
  std::map<int, std::string> ours, reports;  // by batch, the larger first
  Range range;
  for (const AccuracyRow& row : accuracy_rows(results)) {
    if (row.accuracy.count == 0 && row.of_report.empty()) continue;
    if (std::find(names.begin(), names.end(), row.implementation) == names.end()) names.push_back(row.implementation);
  }
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) { return rank(a) < rank(b); });
  for (const AccuracyRow& row : accuracy_rows(results)) {
    const auto place = std::find(names.begin(), names.end(), row.implementation);
    if (place == names.end()) continue;
    const double y = static_cast<double>(place - names.begin()) + (row.batch >= 64 ? -0.15 : 0.15);
    if (row.accuracy.count > 0) {
      const double mean = 100 * row.accuracy.mean, deviation = 100 * deviation_or_0(row.accuracy);
      ours[-row.batch] += fmt::format("{:g} {:g} {:g} {}\n", mean, y, deviation, colour_number(colour(row.implementation)));
      range.take(mean - deviation);
      range.take(mean + deviation);
    }
    for (const report::Figure& figure : row.of_report) {
      reports[-row.batch] += fmt::format("{:g} {:g}\n", 100 * figure.of(row.batch), y);
      range.take(100 * figure.of(row.batch));
    }
  }
  if (ours.empty()) return {};
  constexpr int top = 74, row_height = 34, below = 66;
  const int bottom = top + row_height * static_cast<int>(names.size());
  Sketch sketch("accuracy", usual_width, bottom + below);
  sketch.title("Accuracy on the test set");
  sketch.panel(100, top, usual_width - 25, bottom);
  sketch.x_axis("accuracy, %");
  const double margin = std::max(0.1, 0.06 * (range.high - range.low));
  sketch.add(fmt::format("set xrange [{:g}:{:g}]", range.low - margin, std::min(100.0, range.high + margin)));
  std::string places;
  for (std::size_t i = 0; i < names.size(); ++i) places += fmt::format("{}{} {}", i > 0 ? ", " : "", script_text(names[i]), i);
  sketch.add(fmt::format("set ytics scale 0 ({}); set yrange [{}:-0.5]", places, static_cast<double>(names.size()) - 0.5));
  std::vector<std::string> parts;
  std::vector<Entry> legend;
  for (const auto& [batch, lines] : ours) {
    const int shape = batch == ours.begin()->first ? 7 : 6;  // full, hollow
    const std::string data = sketch.data(lines);
    parts.push_back(data + " using 1:2:3:4 with xerrorbars pt 7 ps 0.1 lw 2 lc rgb variable");
    parts.push_back(fmt::format("{} using 1:2:4 with points pt {} ps 1.2*dot lw 2 lc rgb variable", data, shape));
    legend.push_back({fmt::format("lc rgb '#666666' pt {}", shape), fmt::format("batch {}", -batch)});
  }
  for (const auto& [batch, lines] : reports) {
    const std::string look = fmt::format("lc rgb '{}' pt {}", colour("report"), batch == ours.begin()->first ? 13 : 12);
    parts.push_back(fmt::format("{} using 1:2 with points ps 1.4*dot lw 2 {}", sketch.data(lines), look));
    legend.push_back({look, fmt::format("report, {}", -batch)});
  }
  sketch.legend(legend);
  plot(sketch, parts);
  return {{"accuracy", "Accuracy of each implementation: mean and standard deviation over the seeds, and the report's figures.",
           std::move(sketch)}};
}

// ---- batch, rate, examples

constexpr double panel_left = 80, panel_right = usual_width - 22;

// Those values, from the last, whose names leave each other room on a logarithmic axis.
std::vector<double> apart(std::vector<double> values, const Range& axis) {
  constexpr double letter = 9.5;
  const double pixels = (panel_right - panel_left) / std::log(axis.high / axis.low);
  for (std::size_t i = values.size(); i-- > 1;) {
    const double room = letter * static_cast<double>(plain(values[i]).size() + plain(values[i - 1]).size()) / 2;
    if (pixels * std::log(values[i] / values[i - 1]) < room) values.erase(values.begin() + static_cast<std::ptrdiff_t>(i) - 1);
  }
  return values;
}

std::vector<Figure> sweep_figure(const Results& results, const std::string& experiment, const std::string& title, const std::string& axis) {
  std::vector<double> values;
  std::vector<Spread> accuracies;
  std::string accuracy_lines, diverged, second_lines;
  Range value_range, second_range;
  for (const SweepPoint& point : sweep(results, experiment)) {
    values.push_back(point.value);
    value_range.take(point.value);
    if (point.accuracy.count > 0) {
      accuracies.push_back(point.accuracy);
      accuracy_lines += error_line(point.value, point.accuracy);
      if (point.diverged > 0) diverged += fmt::format("{:g} {:g}\n", point.value, error_of(point.accuracy.mean));
    }
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
  sketch.add(accuracy_axis(error_range(accuracies)));
  sketch.panel(panel_left, diverged.empty() ? 50 : 74, panel_right, 262);
  sketch.y_axis("test accuracy, %");
  std::vector<std::string> parts;
  add_curve(parts, sketch.data(accuracy_lines), look_of("plan"));
  if (!diverged.empty()) {
    parts.push_back(sketch.data(diverged) + " using 1:2 with points pt 2 ps 2*dot lw 2 lc rgb '#000000'");
    sketch.legend({{"lc rgb '#000000' pt 2", "some seed diverged"}});
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
  return {{experiment, title + ": mean and standard deviation over the seeds. The axis of the accuracy is logarithmic in the error.",
           std::move(sketch)}};
}

// ---- curves

std::vector<Figure> curves(const Results& results) {
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

// ---- recall, confusion, worst digits

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

// ---- shift

std::vector<Figure> shift(const Results& results) {
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

// ---- ladder

std::vector<Figure> ladder_figure(const Results& results) {
  Ladder all = ladder(results);
  if (all.kernels.empty()) return {};
  const bool roofed = all.peak_gflops > 0 && all.gigabytes_per_second > 0;
  const double ridge = all.peak_gflops / all.gigabytes_per_second;
  Range x, y;
  for (const LadderPoint& point : all.kernels) {
    x.take(point.intensity());
    y.take(point.gflops());
  }
  if (roofed) {
    x.take(ridge);
    y.take(all.peak_gflops);
  }
  x = x.widened(4, 8);
  y = y.widened(2, 2);
  constexpr double left = panel_left, right = panel_right, top = 44, bottom = 382;
  Sketch sketch("ladder", usual_width, 444);
  sketch.title("The second convolution of the network, forward");
  sketch.panel(left, top, right, bottom);
  sketch.add(log_axis('x', x));
  sketch.add(log_axis('y', y));
  sketch.x_axis("FLOP a byte from memory");
  sketch.y_axis("GFLOP/s");
  std::vector<std::string> parts;
  if (roofed) {
    const double slope = std::atan((bottom - top) / std::log10(y.high / y.low) / ((right - left) / std::log10(x.high / x.low)));
    const double start = std::max(x.low, y.low / all.gigabytes_per_second);
    parts.push_back(sketch.data(fmt::format("{:g} {:g}\n{:g} {:g}\n{:g} {:g}\n", start, all.roof(start), ridge, all.peak_gflops, x.high,
                                            all.peak_gflops)) +
                    " using 1:2 with lines lw 2.5 lc rgb '#555555'");
    sketch.add(fmt::format("set label {} at {:g},{:g} left offset 0,0.7", script_text(significant(all.peak_gflops) + " GFLOP/s"), ridge,
                           all.peak_gflops));
    const double middle = std::sqrt(start * ridge);
    sketch.add(fmt::format("set label {} at {:g},{:g} center offset -0.6,0.6 rotate by {:.0f}",
                           script_text(significant(all.gigabytes_per_second) + " GB/s"), middle, all.roof(middle),
                           slope * 180 / std::numbers::pi));
  }
  std::string points, names;
  for (const LadderPoint& point : all.kernels)
    points += fmt::format("{:g} {:g} {}\n", point.intensity(), point.gflops(), colour_number(colour(point.kernel)));
  // Names stand to the right of the points, from below, each at least a line above the one before.
  std::sort(all.kernels.begin(), all.kernels.end(), [](const LadderPoint& a, const LadderPoint& b) { return a.gflops() < b.gflops(); });
  const double a_line = std::pow(y.high / y.low, 19 / (bottom - top));
  double lowest = 0;
  for (const LadderPoint& point : all.kernels) {
    const double height = std::max(point.gflops(), lowest);
    names += fmt::format("{:g} {:g} {}\n", point.intensity(), height,
                         data_text(fmt::format("{}, {}", point.kernel, significant(point.gflops()))));
    lowest = height * a_line;
  }
  parts.push_back(sketch.data(points) + " using 1:2:3 with points pt 7 ps 1.5*dot lc rgb variable");
  parts.push_back(sketch.data(names) + " using 1:2:3 with labels left offset 1.2,0 font ',14'");
  plot(sketch, parts);
  return {{"ladder",
           "Roofline: the speed of each kernel against the operations that it does for each byte it must move, and what the machine can do "
           "at most.",
           std::move(sketch)}};
}

// ---- scaling

std::vector<Figure> scaling(const Results& results) {
  int most = 1;
  double best = 1;
  Sketch sketch("scaling", usual_width, 384);
  std::vector<std::string> parts;
  std::vector<Entry> legend;
  const std::vector<ScalingCurve> all = scaling_curves(results);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const ScalingCurve& curve = all[i];
    std::string measured, fitted;
    for (std::size_t j = 0; j < curve.ms.size(); ++j) {
      measured += fmt::format("{} {:g}\n", curve.ms[j].first, curve.speed_up(j));
      best = std::max(best, curve.speed_up(j));
      most = std::max(most, curve.ms[j].first);
    }
    const std::string look = look_of(curve.implementation, i);
    parts.push_back(fmt::format("{} using 1:2 with points ps 1.3*dot {}", sketch.data(measured), look));
    legend.push_back({look, curve.name()});
    if (std::isnan(curve.serial)) continue;
    constexpr int steps = 60;
    for (int s = 0; s <= steps; ++s) {
      const double threads = 1 + (curve.ms.back().first - 1) * static_cast<double>(s) / steps;
      fitted += fmt::format("{:g} {:g}\n", threads, curve.amdahl(threads));
    }
    parts.push_back(fmt::format("{} using 1:2 with lines lw 2 {}", sketch.data(fitted), look));
  }
  if (most == 1) return {};
  parts.insert(parts.begin(), sketch.data(fmt::format("1 1\n{0} {0}\n", most)) + " using 1:2 with lines lw 2 dt 2 lc rgb '#888888'");
  sketch.title("Speed-up against threads");
  constexpr double right = 330;
  sketch.panel(panel_left, 44, right, 322);
  sketch.legend(legend, right + 26, 90);
  sketch.add(fmt::format("set label 'ideal' at {0},{0} left offset 1,0 tc rgb '#666666'", most));
  sketch.x_axis("threads");
  sketch.y_axis("times as fast as one thread");
  const double top = std::max<double>(most, best) + 0.05 * most;
  sketch.add(fmt::format("set xrange [{:g}:{:g}]; set yrange [0:{:g}]", 1 - 0.03 * most, 1.03 * most, top));
  constexpr int most_tics = 16;
  if (most <= most_tics) sketch.add("set xtics 1");
  plot(sketch, parts);
  return {{"scaling", "Speed-up against threads: points are measured, curves are Amdahl's law fitted to them.", std::move(sketch)}};
}

}  // namespace

std::vector<Figure> figures_of(const Results& results) {
  std::vector<Figure> all;
  for (auto part :
       {speed(results), accuracy(results), sweep_figure(results, "batch", "Accuracy and time against the batch", "images a batch"),
        sweep_figure(results, "rate", "Accuracy and time against the learning rate", "learning rate"),
        sweep_figure(results, "examples", "Accuracy and time against the training examples", "training examples"), curves(results),
        recall_figures(results), shift(results), ladder_figure(results), scaling(results)}) {
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
