// The elementwise functions themselves, on one value or on four.
#pragma once

#include <cmath>

#include <wengert/backends/cuda/elementwise.hpp>
#include <wengert/backends/cuda/thread.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

// A function with its constants: `scale` of affine and scale, `shift` of affine, the exponent of power as scale.
struct Pointwise {
  Elementwise function = Elementwise::add;
  float scale = 1, shift = 0;
};

// map(f) of the function f(a, b); unary ones do not look at b.
template <class Map>
WENGERT_DEVICE auto by_function(const Pointwise& p, const Map& map) {
  using F = Elementwise;
  const float scale = p.scale, shift = p.shift;
  switch (p.function) {
    case F::relu: return map([](float a, float) { return a <= 0.0f ? 0.0f : a; });  // this way round, NaN passes
    case F::exp: return map([](float a, float) { return std::exp(a); });
    case F::log: return map([](float a, float) { return std::log(a); });
    case F::sqrt: return map([](float a, float) { return std::sqrt(a); });
    case F::tanh: return map([](float a, float) { return std::tanh(a); });
    case F::sigmoid:
      return map([](float a, float) {
        const float e = std::exp(-std::abs(a));
        return (a >= 0.0f ? 1.0f : e) / (1.0f + e);
      });
    case F::affine: return map([scale, shift](float a, float) { return scale * a + shift; });
    case F::add: return map([](float a, float b) { return a + b; });
    case F::subtract: return map([](float a, float b) { return a - b; });
    case F::multiply: return map([](float a, float b) { return a * b; });
    case F::divide: return map([](float a, float b) { return a / b; });
    case F::maximum: return map([](float a, float b) { return a >= b || a != a ? a : b; });
    case F::gate: return map([](float a, float b) { return a <= 0.0f ? 0.0f : b; });
    case F::greater_equal: return map([](float a, float b) { return a >= b ? 1.0f : 0.0f; });
    case F::power: return map([scale](float a, float) { return std::pow(a, scale); });
    case F::scale: return map([scale](float a, float) { return scale * a; });
    case F::square: return map([](float a, float) { return a * a; });
    case F::reciprocal: break;
  }
  return map([](float a, float) { return 1.0f / a; });
}

WENGERT_DEVICE float pointwise(const Pointwise& p, float a, float b) {
  return by_function(p, [a, b](auto f) { return f(a, b); });
}

WENGERT_DEVICE Four pointwise(const Pointwise& p, const Four& a, const Four& b) {
  return by_function(p, [&a, &b](auto f) { return Four{f(a.x, b.x), f(a.y, b.y), f(a.z, b.z), f(a.w, b.w)}; });
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
