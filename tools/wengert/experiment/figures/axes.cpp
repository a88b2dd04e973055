#include "axes.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include "../formatting.hpp"
#include "../implementations.hpp"

namespace wengert::command::experiment {

void Range::take(double value) {
  if (std::isnan(value)) return;
  low = std::isnan(low) ? value : std::min(low, value);
  high = std::isnan(high) ? value : std::max(high, value);
}

bool Range::empty() const { return std::isnan(low); }

std::string tics(char axis, const std::vector<double>& values, bool named) {
  std::string list;
  for (const double value : values)
    list += fmt::format("{}{} {:g}", list.empty() ? "" : ", ", script_text(named ? plain(value) : ""), value);
  return fmt::format("set {}tics ({})", axis, list);
}

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

double round_below(double value) {
  const double decade = std::pow(10, std::floor(std::log10(value)));
  return decade * (value >= 5 * decade ? 5 : value >= 2 * decade ? 2 : 1);
}

std::string log_axis(char axis, const Range& range) {
  return fmt::format("set logscale {0}; set {0}range [{1:g}:{2:g}]; {3}", axis, range.low, range.high, tics(axis, log_steps(range)));
}

double deviation_or_0(const Spread& spread) { return std::isnan(spread.deviation) ? 0 : spread.deviation; }

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

std::string error_line(double x, const Spread& accuracy) {
  const double deviation = deviation_or_0(accuracy);
  return fmt::format("{:g} {:g} {:g} {:g}\n", x, error_of(accuracy.mean), error_of(accuracy.mean + deviation),
                     error_of(accuracy.mean - deviation));
}

unsigned long colour_number(const char* hex) { return std::stoul(hex + 1, nullptr, 16); }

void plot(Sketch& sketch, const std::vector<std::string>& parts) {
  std::string command;
  for (const std::string& part : parts) command += (command.empty() ? "plot " : ", \\\n    ") + part;
  sketch.add(command);
}

void add_curve(std::vector<std::string>& parts, const std::string& data, const std::string& look) {
  parts.push_back(fmt::format("{} using 1:2:3:4 with yerrorbars lw 2 ps 0.1 {}", data, look));
  parts.push_back(fmt::format("{} using 1:2 with linespoints lw 2 ps 1.1*dot {}", data, look));
}

std::string look_of(const std::string& name, std::size_t shape) {
  constexpr int shapes[] = {7, 5, 9, 11, 13};
  return fmt::format("lc rgb '{}' pt {}", colour(name), shapes[shape % std::size(shapes)]);
}

std::vector<double> apart(std::vector<double> values, const Range& axis) {
  constexpr double letter = 9.5;
  const double pixels = (panel_right - panel_left) / std::log(axis.high / axis.low);
  for (std::size_t i = values.size(); i-- > 1;) {
    const double room = letter * static_cast<double>(plain(values[i]).size() + plain(values[i - 1]).size()) / 2;
    if (pixels * std::log(values[i] / values[i - 1]) < room) values.erase(values.begin() + static_cast<std::ptrdiff_t>(i) - 1);
  }
  return values;
}

}  // namespace wengert::command::experiment
