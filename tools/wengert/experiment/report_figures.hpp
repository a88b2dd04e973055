// What the report measured: its two tables.
#pragma once

#include <limits>

namespace wengert::command::experiment::report {

// `cores` 1: serial; 0: the report does not say.
struct Figure {
  const char* implementation;
  int cores;
  double batch_64, batch_32;

  double of(int batch) const { return batch == 64 ? batch_64 : batch == 32 ? batch_32 : std::numeric_limits<double>::quiet_NaN(); }
};

// Table 1: seconds a training iteration.
constexpr Figure seconds[] = {
    {"naive", 1, 262, 154},    {"matrix", 1, 12.71, 7.56}, {"matrix", 40, 2.42, 1.61},
    {"matrix", 4, 7.12, 4.23}, {"im2col", 1, 7.01, 4.94},  {"im2col", 40, 3.02, 2.25},
    {"im2col", 4, 5.25, 3.00}, {"CUDA", 0, 4.06, 2.83},    {"Keras", 0, 0.60, 0.45},
};

// Table 2: accuracy on the test set, as a fraction. Naive was not run.
constexpr Figure accuracy[] = {
    {"matrix", 1, 0.9706, 0.9595},  {"matrix", 40, 0.9700, 0.9755}, {"im2col", 1, 0.9745, 0.9775},
    {"im2col", 40, 0.9763, 0.9770}, {"CUDA", 0, 0.96, 0.965},       {"Keras", 0, 0.987, 0.988},
};

}  // namespace wengert::command::experiment::report
