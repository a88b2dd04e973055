// Elementwise functions on a CUDA device: chains of them in one pass over memory, single ones, and two operands that broadcast; f32.
#pragma once

#include <span>
#include <string>

#include <wengert/backends/chain.hpp>
#include <wengert/backends/cuda/queue.hpp>

namespace wengert::cuda {

// What can be computed element by element: the functions of a chain's links in their order, then those of ops that stand alone.
enum class Elementwise : std::uint8_t {
  relu,
  exp,
  log,
  sqrt,
  tanh,
  sigmoid,
  affine,
  add,
  subtract,
  multiply,
  divide,
  maximum,
  gate,
  greater_equal,  // 1 where a >= b, else 0
  power,          // a to the power of a constant
  scale,          // a times a constant: affine without a shift, which keeps the sign of a zero
  square,
  reciprocal
};
static_assert(static_cast<int>(Elementwise::gate) == static_cast<int>(ChainLink::Function::gate));

// Formulas, NaN and infinities are those of ops/activation.cpp and ops/arithmetic.cpp. An output may be one of the inputs, unless an operand
// of another shape is.
struct ElementwiseFunctions {
  // Why a chain does not fit in one launch, "wanted a chain of at most 32 links, got 40", or empty.
  std::string (*refuse_chain)(const Chain& chain);
  // out has this shape. Inputs read as `channel` hold one value for each index of the shape's axis 1. Throws Error where refuse_chain() refuses.
  void (*chain)(Queue& queue, const Chain& chain, std::span<const float* const> inputs, const Shape& shape, float* out);

  void (*unary)(Queue& queue, Elementwise function, Index count, const float* x, float* y);  // not affine, power or scale
  void (*affine)(Queue& queue, double scale, double shift, Index count, const float* x, float* y);
  void (*power)(Queue& queue, double exponent, Index count, const float* x, float* y);
  // NumPy broadcasting; y has the broadcast shape.
  void (*binary)(Queue& queue, Elementwise function, const float* a, const Shape& a_shape, const float* b, const Shape& b_shape, float* y,
                 const Shape& y_shape);
};

ElementwiseFunctions device_elementwise_functions();

}  // namespace wengert::cuda
