// Seconds of a step, and accuracies of trainings, of every implementation.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

#include <fmt/format.h>

#include "../figures.hpp"
#include "../formatting.hpp"
#include "../implementations.hpp"
#include "axes.hpp"

namespace wengert::command::experiment {

namespace {

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

}  // namespace

std::vector<Figure> speed_figures(const Results& results) {
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

std::vector<Figure> accuracy_figures(const Results& results) {
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

}  // namespace wengert::command::experiment
