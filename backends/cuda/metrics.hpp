// What training reports, kept on a CUDA device until somebody reads it.
#pragma once

#include <wengert/backends/cuda/queue.hpp>

namespace wengert::cuda {

struct MetricsFunctions {
  // next (3) = totals (3) + (the sum of losses (rows), the number of rows of logits (rows, classes) whose first maximum stands at the label,
  // 1), as ops/data.cpp has it. next may be totals. An update: nothing is written where queue.stop_flag is given and is not none_bad.
  void (*add_totals)(Queue& queue, Index rows, Index classes, const float* losses, const float* logits, const std::int32_t* labels,
                     const float* totals, float* next);
};

MetricsFunctions device_metrics_functions();

}  // namespace wengert::cuda
