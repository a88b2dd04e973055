// What becomes of an element of a product: stored after bias, ReLU and gate, or taken as a gradient by Adam.
#pragma once

#include <wengert/backends/cuda/kernels/adam.hpp>
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

struct UpdateByAdam {
  Global<const float> p, m, v;
  Global<float> next_p, next_m, next_v;
  Global<const float> rate;
  AdamFormula adam;

  WENGERT_DEVICE bool does_nothing() const { return stopped(adam.stop); }
  WENGERT_DEVICE void operator()(Index place, int /*column*/, float gradient) const {
    float next[] = {p.load(place), m.load(place), v.load(place)};
    adam.update(adam.rates(rate.load(0)), gradient, next[0], next[1], next[2]);
    next_p.store(place, next[0]);
    next_m.store(place, next[1]);
    next_v.store(place, next[2]);
  }
};

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
