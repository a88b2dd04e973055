// Sums and maxima over axes on a CUDA device, f32. The order of adding depends on the sizes alone: the same bits on every device.
#pragma once

#include <wengert/backends/cuda/queue.hpp>

namespace wengert::cuda {

// `kept` broadcasts to the shape of x: its axes that are missing or of size 1 are reduced. Outputs hold kept.elements() values.
struct ReduceFunctions {
  Index (*sum_workspace)(const Shape& x_shape, const Shape& kept);  // bytes; 0: none is needed
  void (*sum)(Queue& queue, const float* x, const Shape& x_shape, const Shape& kept, float* out, void* workspace);
  // position: the row-major index within the reduced axes of the first maximum; the first NaN counts as larger than any number. No reduced
  // axis is empty.
  void (*max)(Queue& queue, const float* x, const Shape& x_shape, const Shape& kept, float* value, std::int32_t* position);
};

ReduceFunctions device_reduce_functions();

}  // namespace wengert::cuda
