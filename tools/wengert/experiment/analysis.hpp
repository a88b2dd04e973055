// What the rows say: repeated runs put together, ours beside the report's, a curve fitted. Tables and figures show it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "report_figures.hpp"
#include "results.hpp"

namespace wengert::command::experiment {

// Mean and standard deviation (of a sample; NaN of fewer than two values) of the values that are numbers.
struct Spread {
  double mean = nothing, deviation = nothing;
  std::size_t count = 0;
};
Spread spread_of(const std::vector<double>& values);

struct SpeedRow {
  std::string implementation, note;
  int batch = 0, threads = 0;
  double ms = nothing, low = nothing, high = nothing;  // NaN: absent, the note says why
  double times_naive = nothing;                        // as fast as naive on one thread
  std::vector<report::Figure> of_report;               // those to set beside it

  std::string name() const;  // "naive, 1T"; "CUDA" where it was not measured
};
std::vector<SpeedRow> speed_rows(const Results& results);  // large batches first
double report_times_naive(const report::Figure& figure, int batch);

struct AccuracyRow {
  std::string implementation, note;
  int batch = 0, epochs = 0;
  Spread accuracy, seconds;
  std::vector<report::Figure> of_report;
};
std::vector<AccuracyRow> accuracy_rows(const Results& results);

// One value of what is varied: batch, rate, examples.
struct SweepPoint {
  double value = 0;
  Spread accuracy, seconds, epochs;  // of the trainings that learned something
  std::size_t failed = 0;            // of those that ended early, or know no more than guessing does
};
std::vector<SweepPoint> sweep(const Results& results, const std::string& experiment);

struct Curves {
  std::string implementation;
  std::vector<Spread> loss, accuracy;  // by epoch
};
std::vector<Curves> training_curves(const Results& results);

struct WrongDigit {
  int label = 0, predicted = 0;
  std::vector<int> pixels;  // 28x28, 0 to 255
};

struct Recall {
  std::vector<Spread> of_class;
  std::vector<std::vector<double>> confusion;  // counts by true and by predicted class, the sum of all runs
  std::size_t runs = 0;
  std::vector<WrongDigit> worst;  // of the first run
};
Recall recall(const Results& results);

struct ShiftCurve {
  std::string network;
  double parameters = nothing;
  std::vector<std::pair<double, Spread>> accuracy;  // by pixels

  std::string name() const;  // "CNN, 105496 parameters"
};
std::vector<ShiftCurve> shift_curves(const Results& results);

struct LadderPoint {
  std::string kernel;
  double flops = nothing, bytes = nothing, seconds = nothing;

  double intensity() const { return flops / bytes; }
  double gflops() const { return flops / seconds * 1e-9; }
};
struct Ladder {
  double peak_gflops = nothing, gigabytes_per_second = nothing;  // of one core
  std::vector<LadderPoint> kernels;

  double roof(double intensity) const;  // GFLOP/s; NaN where the machine was not measured
};
Ladder ladder(const Results& results);

struct ScalingCurve {
  std::string implementation;
  std::vector<std::pair<int, double>> ms;  // by threads, from one on
  double serial = nothing;                 // the part that Amdahl's law, fitted, takes to be serial

  std::string name() const;                                                          // "plan, 12% serial"
  double speed_up(std::size_t i) const { return ms.front().second / ms[i].second; }  // over one thread
  double amdahl(double threads) const { return 1 / (serial + (1 - serial) / threads); }
};
std::vector<ScalingCurve> scaling_curves(const Results& results);
// Whether Amdahl's law was fitted to more points than the two through which it always goes.
bool is_fitted(const std::vector<ScalingCurve>& curves);

// "Keras 3.12.0 on TensorFlow 2.21.0", ... of the systems that were measured.
std::vector<std::string> peer_versions(const Results& results);

// Who could not be measured, why, and where: "CUDA: no device (speed, accuracy)".
std::vector<std::string> absences(const Results& results);

}  // namespace wengert::command::experiment
