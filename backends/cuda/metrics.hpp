// What training reports, kept on a CUDA device until somebody reads it.
#pragma once

#include <wengert/backends/cuda/queue.hpp>

namespace wengert::cuda {

// Results are added to what is there where `add` is set, else they replace it.
struct MetricsFunctions {
  // The rows of logits (rows, classes) whose first maximum stands at the label; as count_right() in models/training_step.hpp.
  void (*count_right)(Queue& queue, Index rows, Index classes, const float* logits, const std::int32_t* labels, bool add,
                      std::int32_t* right);
  // The sum of f32 values in f64.
  void (*sum_losses)(Queue& queue, Index count, const float* losses, bool add, double* sum);
};

MetricsFunctions device_metrics_functions();

}  // namespace wengert::cuda
