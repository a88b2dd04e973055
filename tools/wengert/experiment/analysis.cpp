#include "analysis.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "implementations.hpp"

namespace wengert::command::experiment {

namespace {

int whole(const Json& row, const char* key) {
  const double value = number(row, key);
  return std::isfinite(value) && std::abs(value) < 1e9 ? static_cast<int>(value) : 0;
}

using Place = std::tuple<std::size_t, std::string>;  // sorts by rank

Place place_of(const std::string& name) { return {rank(name), name}; }

// Those that a measurement of several has made.
std::vector<Json> rows_in(const Json& measurement) {
  std::vector<Json> rows;
  const auto found = measurement.find("rows");
  if (found == measurement.end() || !found->is_array()) return rows;
  std::copy_if(found->begin(), found->end(), std::back_inserter(rows), [](const Json& row) { return row.is_object(); });
  return rows;
}

// Adds the list's entries to the values at their positions.
void collect(std::vector<std::vector<double>>& values, const std::vector<double>& list) {
  if (values.size() < list.size()) values.resize(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) values[i].push_back(list[i]);
}

std::vector<Spread> spreads_of(const std::vector<std::vector<double>>& values) {
  std::vector<Spread> result;
  for (const auto& each : values) result.push_back(spread_of(each));
  return result;
}

std::vector<SpeedRow> all_speed_rows(const Results& results) {
  std::vector<SpeedRow> rows;
  for (const Json* cell : results.of("speed")) {
    for (const Json& row : rows_in(*cell)) {
      if (text(row, "implementation").empty()) continue;
      const double ms = number(row, "ms");
      rows.push_back({.implementation = text(row, "implementation"),
                      .note = text(row, "note"),
                      .batch = whole(*cell, "batch"),
                      .threads = whole(row, "threads"),
                      .ms = ms > 0 ? ms : nothing,
                      .low = number(row, "low"),
                      .high = number(row, "high"),
                      .of_report = {}});
    }
  }
  std::stable_sort(rows.begin(), rows.end(), [](const SpeedRow& a, const SpeedRow& b) {
    return std::tuple(-a.batch, place_of(a.implementation), a.threads) < std::tuple(-b.batch, place_of(b.implementation), b.threads);
  });
  return rows;
}

bool same_series(const SpeedRow& a, const SpeedRow& b) { return a.batch == b.batch && a.implementation == b.implementation; }

// An absent implementation is said to be so once.
std::vector<SpeedRow> absent_once(const std::vector<SpeedRow>& all) {
  std::vector<SpeedRow> kept;
  for (std::size_t i = 0; i < all.size(); ++i) {
    bool told = false;
    for (std::size_t j = 0; j < all.size() && std::isnan(all[i].ms); ++j)
      told = told || (same_series(all[i], all[j]) && (j > i || !std::isnan(all[j].ms)));
    if (!told) kept.push_back(all[i]);
  }
  return kept;
}

// Serial figures stand beside our single thread, all others beside our row of most threads.
bool stands_beside(const report::Figure& figure, const SpeedRow& row, bool most_threads) {
  if (figure.implementation != row.implementation || std::isnan(figure.of(row.batch))) return false;
  if (figure.cores == 1) return row.threads <= 1;
  return most_threads && (figure.cores == 0 || row.threads > 1);
}

std::vector<WrongDigit> worst_of(const Json& row) {
  std::vector<WrongDigit> result;
  const auto worst = row.find("worst");
  if (worst == row.end() || !worst->is_array()) return result;
  for (const Json& each : *worst) {
    if (!each.is_object()) continue;
    const std::string hex = text(each, "pixels");
    constexpr std::size_t digits = std::size_t{2} * 28 * 28;
    if (hex.size() != digits || hex.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) continue;
    WrongDigit digit{.label = whole(each, "label"), .predicted = whole(each, "predicted"), .pixels = {}};
    for (std::size_t i = 0; i < digits; i += 2) digit.pixels.push_back(std::stoi(hex.substr(i, 2), nullptr, 16));
    result.push_back(std::move(digit));
  }
  return result;
}

// The least squares of t(n) / t(1) = s + (1 - s) / n over the measured n, of which the first is 1.
double fitted_serial_part(const std::vector<std::pair<int, double>>& ms) {
  double above = 0, below = 0;
  for (const auto& [threads, time] : ms) {
    const double share = 1.0 / threads;
    above += (time / ms.front().second - share) * (1 - share);
    below += (1 - share) * (1 - share);
  }
  return below > 0 ? std::clamp(above / below, 0.0, 1.0) : nothing;
}

}  // namespace

Spread spread_of(const std::vector<double>& values) {
  Spread result;
  double sum = 0;
  for (const double value : values) {
    if (std::isnan(value)) continue;
    sum += value;
    ++result.count;
  }
  if (result.count == 0) return result;
  const auto count = static_cast<double>(result.count);
  result.mean = sum / count;
  double squares = 0;
  for (const double value : values) {
    if (!std::isnan(value)) squares += (value - result.mean) * (value - result.mean);
  }
  if (result.count > 1) result.deviation = std::sqrt(squares / (count - 1));
  return result;
}

std::string SpeedRow::name() const {
  return threads > 0 && !std::isnan(ms) ? fmt::format("{}, {}T", implementation, threads) : implementation;
}

std::vector<SpeedRow> speed_rows(const Results& results) {
  std::vector<SpeedRow> rows = absent_once(all_speed_rows(results));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    SpeedRow& row = rows[i];
    const auto naive = std::find_if(rows.begin(), rows.end(), [&](const SpeedRow& r) {
      return r.batch == row.batch && r.implementation == "naive" && r.threads == 1 && !std::isnan(r.ms);
    });
    if (naive != rows.end()) row.times_naive = naive->ms / row.ms;
    const bool most_threads = i + 1 == rows.size() || !same_series(row, rows[i + 1]);
    for (const report::Figure& figure : report::seconds) {
      if (stands_beside(figure, row, most_threads)) row.of_report.push_back(figure);
    }
  }
  return rows;
}

double report_times_naive(const report::Figure& figure, int batch) { return report::seconds[0].of(batch) / figure.of(batch); }

std::vector<AccuracyRow> accuracy_rows(const Results& results) {
  std::map<std::pair<int, Place>, std::vector<const Json*>> groups;
  for (const Json* row : results.of("accuracy")) groups[{-whole(*row, "batch"), place_of(text(*row, "implementation"))}].push_back(row);
  std::vector<AccuracyRow> rows;
  for (const auto& [key, runs] : groups) {
    AccuracyRow row{
        .implementation = std::get<1>(key.second), .note = "", .batch = -key.first, .accuracy = {}, .seconds = {}, .of_report = {}};
    std::vector<double> accuracies, seconds;
    for (const Json* run : runs) {
      accuracies.push_back(number(*run, "accuracy"));
      seconds.push_back(number(*run, "seconds"));
      row.epochs = std::max(row.epochs, whole(*run, "epochs"));
      if (row.note.empty()) row.note = text(*run, "note");
    }
    row.accuracy = spread_of(accuracies);
    row.seconds = spread_of(seconds);
    for (const report::Figure& figure : report::accuracy) {
      if (figure.implementation == row.implementation && !std::isnan(figure.of(row.batch))) row.of_report.push_back(figure);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<SweepPoint> sweep(const Results& results, const std::string& experiment) {
  std::map<double, std::vector<const Json*>> groups;
  for (const Json* row : results.of(experiment)) {
    const double value = number(*row, experiment.c_str());  // the field is named as the experiment
    if (value > 0) groups[value].push_back(row);
  }
  std::vector<SweepPoint> points;
  for (const auto& [value, runs] : groups) {
    SweepPoint point{.value = value, .accuracy = {}, .seconds = {}, .epochs = {}};
    std::vector<double> accuracies, seconds, epochs;
    for (const Json* run : runs) {
      const double accuracy = number(*run, "accuracy");
      constexpr double guessing = 0.2;  // less than that is no better than one in ten, and luck
      if (!(accuracy > guessing)) {
        ++point.failed;
        continue;
      }
      accuracies.push_back(accuracy);
      seconds.push_back(number(*run, "seconds"));
      epochs.push_back(number(*run, "epochs"));
    }
    point.accuracy = spread_of(accuracies);
    point.seconds = spread_of(seconds);
    point.epochs = spread_of(epochs);
    points.push_back(point);
  }
  return points;
}

std::vector<Curves> training_curves(const Results& results) {
  std::map<Place, std::pair<std::vector<std::vector<double>>, std::vector<std::vector<double>>>> groups;
  for (const Json* row : results.of("curves")) {
    auto& group = groups[place_of(text(*row, "implementation"))];
    collect(group.first, numbers(*row, "loss"));
    collect(group.second, numbers(*row, "accuracy"));
  }
  std::vector<Curves> result;
  for (const auto& [place, lists] : groups) {
    if (!lists.first.empty() || !lists.second.empty())
      result.push_back({std::get<1>(place), spreads_of(lists.first), spreads_of(lists.second)});
  }
  return result;
}

Recall recall(const Results& results) {
  Recall result;
  std::vector<std::vector<double>> recalls;
  for (const Json* row : results.of("recall")) {
    if (result.worst.empty()) result.worst = worst_of(*row);
    const auto confusion = row->find("confusion");
    if (confusion == row->end() || !confusion->is_array()) continue;
    const std::size_t classes = confusion->size();
    if (result.confusion.empty()) result.confusion.assign(classes, std::vector<double>(classes, 0));
    if (classes != result.confusion.size()) continue;
    std::vector<double> of_class;
    for (std::size_t c = 0; c < classes; ++c) {
      const std::vector<double> counts = numbers_of((*confusion)[c]);
      double all = 0;
      for (std::size_t predicted = 0; predicted < std::min(classes, counts.size()); ++predicted) {
        all += counts[predicted];
        result.confusion[c][predicted] += counts[predicted];
      }
      of_class.push_back(all > 0 && c < counts.size() ? counts[c] / all : nothing);
    }
    collect(recalls, of_class);
    ++result.runs;
  }
  result.of_class = spreads_of(recalls);
  return result;
}

std::string ShiftCurve::name() const {
  return std::isnan(parameters) ? std::string(shown(network)) : fmt::format("{}, {:.0f} parameters", shown(network), parameters);
}

std::vector<ShiftCurve> shift_curves(const Results& results) {
  std::map<Place, std::map<double, std::vector<double>>> groups;
  std::map<Place, double> parameters;
  for (const Json* row : results.of("shift")) {
    const Place place = place_of(text(*row, "network"));
    const std::vector<double> pixels = numbers(*row, "pixels"), accuracy = numbers(*row, "accuracy");
    for (std::size_t i = 0; i < std::min(pixels.size(), accuracy.size()); ++i) {
      if (!std::isnan(pixels[i])) groups[place][pixels[i]].push_back(accuracy[i]);
    }
    parameters[place] = number(*row, "parameters");
  }
  std::vector<ShiftCurve> result;
  for (const auto& [place, by_pixels] : groups) {
    ShiftCurve curve{.network = std::get<1>(place), .parameters = parameters[place], .accuracy = {}};
    for (const auto& [pixels, accuracies] : by_pixels) curve.accuracy.emplace_back(pixels, spread_of(accuracies));
    result.push_back(std::move(curve));
  }
  return result;
}

double Ladder::roof(double intensity) const { return std::min(peak_gflops, gigabytes_per_second * intensity); }

Ladder ladder(const Results& results) {
  Ladder result;
  for (const Json* row : results.of("ladder")) {
    if (row->contains("peak_gflops")) {
      result.peak_gflops = number(*row, "peak_gflops");
      result.gigabytes_per_second = number(*row, "gigabytes_per_second");
      continue;
    }
    LadderPoint point{text(*row, "kernel"), number(*row, "flops"), number(*row, "bytes"), number(*row, "seconds")};
    if (point.flops > 0 && point.bytes > 0 && point.seconds > 0) result.kernels.push_back(std::move(point));
  }
  std::stable_sort(result.kernels.begin(), result.kernels.end(),
                   [](const LadderPoint& a, const LadderPoint& b) { return place_of(a.kernel) < place_of(b.kernel); });
  return result;
}

std::string ScalingCurve::name() const {
  return std::isnan(serial) ? implementation : fmt::format("{}, {:.0f}% serial", implementation, 100 * serial);
}

std::vector<ScalingCurve> scaling_curves(const Results& results) {
  std::map<Place, std::map<int, double>> groups;
  for (const Json* cell : results.of("scaling")) {
    for (const Json& row : rows_in(*cell)) {
      const double ms = number(row, "ms");
      if (ms > 0 && whole(row, "threads") > 0) groups[place_of(text(row, "implementation"))][whole(row, "threads")] = ms;
    }
  }
  std::vector<ScalingCurve> result;
  for (const auto& [place, by_threads] : groups) {
    if (by_threads.begin()->first != 1) continue;
    ScalingCurve curve{.implementation = std::get<1>(place), .ms = {by_threads.begin(), by_threads.end()}};
    curve.serial = fitted_serial_part(curve.ms);
    result.push_back(std::move(curve));
  }
  return result;
}

bool is_fitted(const std::vector<ScalingCurve>& curves) {
  return std::any_of(curves.begin(), curves.end(), [](const ScalingCurve& curve) { return curve.ms.size() > 2; });
}

std::vector<std::string> peer_versions(const Results& results) {
  std::map<Place, std::string> versions;
  const auto take = [&versions](const Json& row) {
    const std::string version = text(row, "version"), name = text(row, "implementation");
    if (!version.empty() && !name.empty()) versions[place_of(name)] = fmt::format("{} {}", name, version);
  };
  for (const Json& row : results.rows) {
    take(row);
    for (const Json& each : rows_in(row)) take(each);
  }
  std::vector<std::string> list;
  for (const auto& [place, version] : versions) list.push_back(version);
  return list;
}

std::vector<std::string> absences(const Results& results) {
  std::map<std::pair<Place, std::string>, std::vector<std::string>> found;  // experiments by who and why
  const auto add = [&found](const char* experiment, const std::string& who, const std::string& note) {
    std::vector<std::string>& where = found[{place_of(who), note.empty() ? "absent" : note}];
    if (where.empty() || where.back() != experiment) where.push_back(experiment);
  };
  for (const SpeedRow& row : speed_rows(results)) {
    if (std::isnan(row.ms)) add("speed", row.implementation, row.note);
  }
  for (const AccuracyRow& row : accuracy_rows(results)) {
    if (row.accuracy.count == 0) add("accuracy", row.implementation, row.note);
  }
  for (const Json* row : results.of("curves")) {
    if (numbers(*row, "loss").empty() && numbers(*row, "accuracy").empty()) add("curves", text(*row, "implementation"), text(*row, "note"));
  }
  std::vector<std::string> lines;
  for (const auto& [key, where] : found)
    lines.push_back(fmt::format("{}: {} ({})", std::get<1>(key.first), key.second, fmt::join(where, ", ")));
  return lines;
}

}  // namespace wengert::command::experiment
