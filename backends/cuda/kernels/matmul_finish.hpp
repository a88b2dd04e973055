// What becomes of an element of a product: stored after bias, ReLU and gate, or taken as a gradient by Adam.
#pragma once

#include <cmath>

#include <wengert/backends/cuda/kernels/stop.hpp>
#include <wengert/backends/cuda/thread.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

// Of an operand: element (i,j) of matrix n is at n * step + i * row + j * column.
struct MatrixStrides {
  int row, column;
  Index step;
};

struct ProductSizes {
  int batch, rows, inner, columns;
  MatrixStrides a, b;
  WENGERT_BOTH Index outputs() const { return Index{batch} * rows * columns; }
};

// One column's bias and one element's gate, or none.
struct StoreProduct {
  Global<float> c;
  Global<const float> bias, gate;
  bool relu = false;

  WENGERT_DEVICE bool does_nothing() const { return false; }
  WENGERT_DEVICE void operator()(Index place, int column, float value) const {
    if (bias.given()) value += bias.load(column);
    if (relu && value <= 0.0f) value = 0.0f;
    if (gate.given() && gate.load(place) <= 0.0f) value = 0.0f;
    c.store(place, value);
  }
};

// The formula of ops/optimiser.cpp.
struct UpdateByAdam {
  Global<const float> p, m, v;
  Global<float> next_p, next_m, next_v;
  Global<const float> rate, correction1, correction2;
  Global<const std::int32_t> stop;
  float beta1, beta2, rest1, rest2, epsilon, weight_decay;

  WENGERT_DEVICE bool does_nothing() const { return stopped(stop); }
  WENGERT_DEVICE void operator()(Index place, int /*column*/, float gradient) const {
    const float by = rate.load(0), step = by / correction1.load(0), root = 1.0f / std::sqrt(correction2.load(0)), decay = by * weight_decay;
    const float first = beta1 * m.load(place) + rest1 * gradient;
    const float second = beta2 * v.load(place) + rest2 * (gradient * gradient);
    const float old = p.load(place);
    next_p.store(place, old - decay * old - step * first / (std::sqrt(second) * root + epsilon));
    next_m.store(place, first);
    next_v.store(place, second);
  }
};

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
