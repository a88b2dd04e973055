#include "tables.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <wengert/models/files/atomic_file.hpp>

#include "analysis.hpp"
#include "formatting.hpp"
#include "implementations.hpp"

namespace wengert::command::experiment {

namespace {

// One text for each of the report's figures that stand beside a row: "2.42 / 7.12".
template <class Text>
std::string joined(const std::vector<report::Figure>& figures, Text&& text_of) {
  std::string result;
  for (const report::Figure& figure : figures) result += (result.empty() ? "" : " / ") + text_of(figure);
  return result;
}

// A count; nothing where there is none.
std::string whole_number(double value) { return std::isnan(value) ? "" : fmt::format("{:.0f}", value); }

Table speed(const Results& results) {
  Table table{"speed",
              "Time of a training step",
              {"implementation", "batch", "threads", "report, s", "here, ms", "lowest", "highest", "report, ratio", "here, ratio", "note"},
              {},
              {"Medians of interleaved rounds; lowest and highest of the rounds. Ratio: how many times as fast as the naive loops on one "
               "thread. Two figures of the report: on 40 and on 4 cores."}};
  if (const std::vector<std::string> peers = peer_versions(results); !peers.empty())
    table.notes.push_back(fmt::format("{}.", fmt::join(peers, ", ")));
  for (const SpeedRow& row : speed_rows(results)) {
    table.rows.push_back(
        {row.implementation, std::to_string(row.batch), row.threads > 0 && !std::isnan(row.ms) ? std::to_string(row.threads) : "",
         joined(row.of_report,
                [&](const report::Figure& f) { return fmt::format("{:.{}f}", f.of(row.batch), f.of(row.batch) < 100 ? 2 : 0); }),
         significant(row.ms), significant(row.low), significant(row.high),
         joined(row.of_report, [&](const report::Figure& f) { return significant(report_times_naive(f, row.batch)); }),
         significant(row.times_naive), row.note});
  }
  return table;
}

Table accuracy(const Results& results) {
  Table table{"accuracy",
              "Accuracy on the test set",
              {"implementation", "batch", "report, %", "here, %", "deviation", "seeds", "epochs", "seconds", "note"},
              {},
              {"Two figures of the report: serial, and in parallel on 40 cores. Deviation: the standard deviation over the seeds. Seconds: "
               "of one training."}};
  for (const AccuracyRow& row : accuracy_rows(results)) {
    table.rows.push_back({row.implementation, std::to_string(row.batch),
                          joined(row.of_report, [&](const report::Figure& f) { return percent(f.of(row.batch)); }),
                          percent(row.accuracy.mean), percent(row.accuracy.deviation), std::to_string(row.accuracy.count),
                          row.epochs > 0 ? std::to_string(row.epochs) : "", significant(row.seconds.mean), row.note});
  }
  return table;
}

Table sweep_table(const Results& results, const std::string& experiment, const std::string& title, const std::string& heading) {
  Table table{experiment, title, {heading, "accuracy, %", "deviation, %", "seconds", "deviation, s", "seeds", "epochs"}, {}, {}};
  const std::vector<SweepPoint> points = sweep(results, experiment);
  const bool any_failed = std::any_of(points.begin(), points.end(), [](const SweepPoint& p) { return p.failed > 0; });
  if (any_failed) {
    table.headings.push_back("failed");
    table.notes.push_back(
        "Failed: seeds whose loss became infinite, or that ended no better than guessing; the other columns are of the rest.");
  }
  for (const SweepPoint& point : points) {
    table.rows.push_back({plain(point.value), percent(point.accuracy.mean), percent(point.accuracy.deviation),
                          significant(point.seconds.mean), significant(point.seconds.deviation), std::to_string(point.accuracy.count),
                          whole_number(point.epochs.mean)});
    if (any_failed) table.rows.back().push_back(std::to_string(point.failed));
  }
  return table;
}

Table curves(const Results& results) {
  Table table{"curves", "Training, epoch by epoch", {"epoch"}, {}, {}};
  const std::vector<Curves> all = training_curves(results);
  std::size_t epochs = 0;
  for (const Curves& each : all) {
    table.headings.push_back(fmt::format("{}, loss", shown(each.implementation)));
    table.headings.push_back(fmt::format("{}, accuracy, %", shown(each.implementation)));
    epochs = std::max({epochs, each.loss.size(), each.accuracy.size()});
  }
  for (std::size_t e = 0; e < epochs; ++e) {
    table.rows.push_back({std::to_string(e + 1)});
    for (const Curves& each : all) {
      table.rows.back().push_back(e < each.loss.size() ? significant(each.loss[e].mean) : "");
      table.rows.back().push_back(e < each.accuracy.size() ? percent(each.accuracy[e].mean) : "");
    }
  }
  return table;
}

std::vector<Table> recall_tables(const Results& results) {
  const Recall all = recall(results);
  Table classes{"recall", "Recall of each class on the test set", {"class", "recall, %", "deviation", "seeds"}, {}, {}};
  for (std::size_t c = 0; c < all.of_class.size(); ++c) {
    const Spread& spread = all.of_class[c];
    classes.rows.push_back({std::to_string(c), percent(spread.mean), percent(spread.deviation), std::to_string(spread.count)});
  }
  Table confusion{"confusion", "Confusion: true classes by row, predicted ones by column", {"true"}, {}, {}};
  if (all.runs > 1) confusion.notes.push_back(fmt::format("The sum of {} runs.", all.runs));
  for (std::size_t c = 0; c < all.confusion.size(); ++c) {
    confusion.headings.push_back(std::to_string(c));
    confusion.rows.push_back({std::to_string(c)});
    for (const double count : all.confusion[c]) confusion.rows.back().push_back(whole_number(count));
  }
  return {classes, confusion};
}

Table shift(const Results& results) {
  Table table{"shift", "Accuracy on shifted digits", {"network", "parameters", "pixels", "accuracy, %", "deviation", "seeds"}, {}, {}};
  for (const ShiftCurve& curve : shift_curves(results)) {
    for (const auto& [pixels, accuracy] : curve.accuracy) {
      table.rows.push_back({std::string(shown(curve.network)), whole_number(curve.parameters), plain(pixels), percent(accuracy.mean),
                            percent(accuracy.deviation), std::to_string(accuracy.count)});
    }
  }
  return table;
}

Table ladder_table(const Results& results) {
  const Ladder all = ladder(results);
  Table table{"ladder",
              "The kernels under the roof of one core",
              {"kernel", "MFLOP", "MB", "FLOP/byte", "ms", "GFLOP/s", "of the roof, %"},
              {},
              {}};
  for (const LadderPoint& point : all.kernels) {
    table.rows.push_back({point.kernel, significant(point.flops * 1e-6), significant(point.bytes * 1e-6), significant(point.intensity()),
                          significant(point.seconds * 1e3), significant(point.gflops()),
                          significant(100 * point.gflops() / all.roof(point.intensity()))});
  }
  if (!std::isnan(all.peak_gflops)) {
    table.notes.push_back(fmt::format("One core: {} GFLOP/s at most, {} GB/s from memory.", significant(all.peak_gflops),
                                      significant(all.gigabytes_per_second)));
  }
  return table;
}

Table scaling(const Results& results) {
  Table table{
      "scaling", "Speed-up against threads", {"implementation", "threads", "ms", "speed-up", "Amdahl's law", "serial part, %"}, {}, {}};
  const std::vector<ScalingCurve> curves = scaling_curves(results);
  if (!curves.empty() && !is_fitted(curves))
    table.notes.push_back(
        "With two numbers of threads the serial part is worked out, not fitted: Amdahl's law goes through any two points.");
  for (const ScalingCurve& curve : curves) {
    for (std::size_t i = 0; i < curve.ms.size(); ++i) {
      const int threads = curve.ms[i].first;
      table.rows.push_back({curve.implementation, std::to_string(threads), significant(curve.ms[i].second), significant(curve.speed_up(i)),
                            significant(curve.amdahl(threads)), significant(100 * curve.serial)});
    }
  }
  return table;
}

std::vector<Table> all_tables_of(const Results& results, const std::string& experiment) {
  if (experiment == "speed") return {speed(results)};
  if (experiment == "accuracy") return {accuracy(results)};
  if (experiment == "batch") return {sweep_table(results, experiment, "Accuracy and time against the batch", "batch")};
  if (experiment == "rate") return {sweep_table(results, experiment, "Accuracy and time against the learning rate", "learning rate")};
  if (experiment == "examples") return {sweep_table(results, experiment, "Accuracy and time against the training examples", "examples")};
  if (experiment == "curves") return {curves(results)};
  if (experiment == "recall") return recall_tables(results);
  if (experiment == "shift") return {shift(results)};
  if (experiment == "ladder") return {ladder_table(results)};
  if (experiment == "scaling") return {scaling(results)};
  return {};
}

std::string markdown_line(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const std::string& cell : cells) {
    line += ' ';
    for (const char letter : cell) {
      if (letter == '|') line += '\\';
      line += letter == '\n' ? ' ' : letter;
    }
    line += " |";
  }
  return line + '\n';
}

std::string csv_line(const std::vector<std::string>& cells) {
  std::string line;
  for (std::size_t c = 0; c < cells.size(); ++c) {
    if (c > 0) line += ',';
    if (cells[c].find_first_of(",\"\n\r") == std::string::npos) {
      line += cells[c];
      continue;
    }
    line += '"';
    for (const char letter : cells[c]) line += letter == '"' ? "\"\"" : std::string(1, letter);
    line += '"';
  }
  return line + '\n';
}

}  // namespace

std::vector<Table> tables_of(const Results& results, const std::string& experiment) {
  std::vector<Table> tables = all_tables_of(results, experiment);
  std::erase_if(tables, [](const Table& table) { return table.rows.empty(); });
  return tables;
}

bool is_numeric(const Table& table, std::size_t column) {
  return std::all_of(table.rows.begin(), table.rows.end(), [column](const std::vector<std::string>& row) {
    return row[column].find_first_not_of("0123456789.-+e/ ") == std::string::npos;
  });
}

Table without_empty_columns(const Table& table) {
  Table result{table.name, table.title, {}, std::vector<std::vector<std::string>>(table.rows.size()), table.notes};
  for (std::size_t c = 0; c < table.headings.size(); ++c) {
    if (std::all_of(table.rows.begin(), table.rows.end(), [c](const auto& row) { return row[c].empty(); })) continue;
    result.headings.push_back(table.headings[c]);
    for (std::size_t r = 0; r < table.rows.size(); ++r) result.rows[r].push_back(table.rows[r][c]);
  }
  return result;
}

std::string markdown(const Table& all) {
  const Table table = without_empty_columns(all);
  std::string result = fmt::format("# {}\n\n", table.title) + markdown_line(table.headings) + "|";
  for (std::size_t c = 0; c < table.headings.size(); ++c) result += is_numeric(table, c) ? "---:|" : "---|";
  result += '\n';
  for (const auto& row : table.rows) result += markdown_line(row);
  for (const std::string& note : table.notes) result += '\n' + note + '\n';
  return result;
}

std::string csv(const Table& table) {
  std::string result = csv_line(table.headings);
  for (const auto& row : table.rows) result += csv_line(row);
  return result;
}

void write_tables(const Results& results, const std::filesystem::path& dir) {
  std::filesystem::create_directories(dir);
  for (const char* const experiment : experiments) {
    std::string text;
    for (const Table& table : tables_of(results, experiment)) {
      text += (text.empty() ? "" : "\n") + markdown(table);
      write_file_atomically(dir / (table.name + ".csv"), csv(table));
    }
    if (!text.empty()) write_file_atomically(dir / fmt::format("{}.md", experiment), text);
  }
}

}  // namespace wengert::command::experiment
