// What the figures share: ranges, axes, and the looks of points and curves.
#pragma once

#include <string>
#include <vector>

#include "../analysis.hpp"
#include "../gnuplot.hpp"

namespace wengert::command::experiment {

constexpr int usual_width = 540;                                   // that a phone shows still readable
constexpr double panel_left = 80, panel_right = usual_width - 22;  // of the area within the axes

struct Range {
  double low = nothing, high = nothing;

  void take(double value);  // NaN is none
  bool empty() const;
  Range widened(double below, double above) const { return {low / below, high * above}; }
};

std::string tics(char axis, const std::vector<double>& values, bool named = true);
// 1, 10, 100, and 2 and 5 between them where few of those lie in the range.
std::vector<double> log_steps(const Range& range);
std::string log_axis(char axis, const Range& range);
// The greatest of 1, 2, 5, 10, 20 .. that is no greater.
double round_below(double value);
// Those values, from the last, whose names leave each other room on a logarithmic axis.
std::vector<double> apart(std::vector<double> values, const Range& axis);

double deviation_or_0(const Spread& spread);

// Accuracies close to 100% are spread: drawn is the error, on a logarithmic axis, and written is the accuracy.
double error_of(double accuracy);
std::string accuracy_axis(const Range& errors);
Range error_range(const std::vector<Spread>& accuracies);
// "x error low high" for yerrorbars on such an axis.
std::string error_line(double x, const Spread& accuracy);

// A colour as the number that `lc rgb variable` reads from data.
unsigned long colour_number(const char* hex);
std::string look_of(const std::string& name, std::size_t shape = 0);

void plot(Sketch& sketch, const std::vector<std::string>& parts);
// Points, joined, with their errors; those first, because gnuplot leaves a white ring around their own points.
void add_curve(std::vector<std::string>& parts, const std::string& data, const std::string& look);

}  // namespace wengert::command::experiment
