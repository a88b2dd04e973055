// One step of Adam or of SGD on a CUDA device for many parameters at once, f32: one launch for each most_updates of them.
#pragma once

#include <span>

#include <wengert/backends/cuda/queue.hpp>

namespace wengert::cuda {

// `count` elements each. The next values may stand in place of the old ones. rate is a float on the device.
struct AdamTensor {
  const float *p, *m, *v, *gradient;
  const float* rate;
  float *next_p, *next_m, *next_v;
  Index count;
};
struct AdamStep {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0.0;
  const float *correction1 = nullptr, *correction2 = nullptr;  // 1 - beta^t, on the device
  bool operator==(const AdamStep&) const = default;
};

struct SgdTensor {
  const float *p, *velocity, *gradient;
  const float* rate;
  float *next_p, *next_velocity;
  Index count;
};
struct SgdStep {
  double momentum = 0.0, weight_decay = 0.0;
  bool operator==(const SgdStep&) const = default;
};

// Formulas are those of ops/optimiser.cpp. Where queue.stop_flag is given and holds another number than Queue::none_bad, nothing is written.
struct OptimiserFunctions {
  void (*adam)(Queue& queue, const AdamStep& step, std::span<const AdamTensor> tensors);
  void (*sgd)(Queue& queue, const SgdStep& step, std::span<const SgdTensor> tensors);
};

OptimiserFunctions device_optimiser_functions();

}  // namespace wengert::cuda
