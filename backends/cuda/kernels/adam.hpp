// Adam on one element: Kingma and Ba 2015, algorithm 1, with the formula of ops/optimiser.cpp.
#pragma once

#include <cmath>

#include <wengert/backends/cuda/kernels/stop.hpp>
#include <wengert/backends/cuda/optimiser.hpp>
#include <wengert/backends/cuda/thread.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

struct AdamFormula {
  Global<const std::int32_t> stop;
  Global<const float> correction1, correction2;
  float beta1, beta2, rest1, rest2, epsilon, weight_decay;

  struct Rates {
    float step, root, decay;
  };
  WENGERT_DEVICE Rates rates(float rate) const {
    return {rate / correction1.load(0), 1.0f / std::sqrt(correction2.load(0)), rate * weight_decay};
  }
  WENGERT_DEVICE void update(const Rates& r, float g, float& p, float& m, float& v) const {
    m = beta1 * m + rest1 * g;
    v = beta2 * v + rest2 * (g * g);
    p = p - r.decay * p - r.step * m / (std::sqrt(v) * r.root + epsilon);
  }
};

inline AdamFormula adam_formula(const Queue& queue, const AdamStep& step) {
  return {{queue.stop_flag, 1},
          {step.correction1, 1},
          {step.correction2, 1},
          static_cast<float>(step.beta1),
          static_cast<float>(step.beta2),
          static_cast<float>(1.0 - step.beta1),
          static_cast<float>(1.0 - step.beta2),
          static_cast<float>(step.epsilon),
          static_cast<float>(step.weight_decay)};
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
