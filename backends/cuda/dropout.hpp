// Dropout on a CUDA device, f32: the same mask as on the CPU, bit for bit.
#pragma once

#include <wengert/backends/cuda/queue.hpp>

namespace wengert::cuda {

// The numbers of a layer (ops/dropout.hpp): RandomStream(seed, stream, step).
struct DropoutDraw {
  double rate = 0.5;  // the probability that an element is dropped, in [0, 1)
  std::uint64_t seed = 0, stream = 0;
};

struct DropoutFunctions {
  // y = x mask / (1 - rate) for elements [first, first + count) of the whole batch, which are x and y here; step is an int on the device.
  // y may be x. Throws Error where an element's number leaves [0, 2^34).
  void (*dropout)(Queue& queue, const DropoutDraw& draw, const std::int32_t* step, Index first, Index count, const float* x, float* y);
};

DropoutFunctions device_dropout_functions();

}  // namespace wengert::cuda
