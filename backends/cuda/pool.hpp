// Pooling on a CUDA device, f32. Planes of all images and channels are numbered through: x (planes, height, width), y (planes, out_height,
// out_width). Results have the bits of the CPU's plain kernels.
#pragma once

#include <wengert/backends/cuda/queue.hpp>
#include <wengert/backends/geometry.hpp>

namespace wengert::cuda {

struct PoolFunctions {
  // positions: h * width + w of the window's first maximum in row-major order; the first NaN of a window wins; padding counts as -infinity.
  void (*max_pool2d)(Queue& queue, const PoolGeometry& geometry, Index planes, const float* x, float* y, std::int32_t* positions);
  // The gradient of a ReLU and a max pool, in whatever order: x[position] is the sum of the y of all windows with that position and a gate that is
  // not <= 0; 0 elsewhere. The positions are those of this geometry; the gate is what came out of the two (planes, out_height, out_width).
  void (*winners)(Queue& queue, const PoolGeometry& geometry, Index planes, const float* y, const std::int32_t* positions,
                  const float* gate, float* x);
  void (*average_pool2d)(Queue& queue, const PoolGeometry& geometry, Index planes, const float* x, float* y);
  void (*average_pool2d_data)(Queue& queue, const PoolGeometry& geometry, Index planes, const float* y, float* x);
};

PoolFunctions device_pool_functions();

}  // namespace wengert::cuda
