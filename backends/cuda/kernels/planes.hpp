// Planes that convolutions read: as they lie in memory, or a cotangent that stands nowhere.
#pragma once

#include <wengert/backends/cuda/conv.hpp>
#include <wengert/backends/cuda/conv_tiling.hpp>
#include <wengert/backends/cuda/thread.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

struct Planes {
  Global<const float> data;
  int height, width;

  WENGERT_DEVICE float load(int plane, int row, int column) const { return data.load((plane * height + row) * width + column); }
};

// The cotangent of what stands before a max pool and a ReLU: that of each window at its maximum, where that is positive; else zero. The windows
// are the stride of the pool.
struct PlanesBehindPool {
  Global<const float> c;
  Global<const std::int32_t> positions;
  Global<const float> gate;
  int height, width;
  int pooled_height, pooled_width, window_height, window_width;

  WENGERT_DEVICE float load(int plane, int row, int column) const {
    const int pooled_row = row / window_height, pooled_column = column / window_width;
    if (pooled_row >= pooled_height || pooled_column >= pooled_width) return 0.0f;
    const int i = (plane * pooled_height + pooled_row) * pooled_width + pooled_column;
    return positions.load(i) == row * width + column && !(gate.load(i) <= 0.0f) ? c.load(i) : 0.0f;
  }
};

inline PlanesBehindPool planes_behind_pool(const ConvGeometry& g, const PoolGeometry& pool, Index images, const ConvCotangent& y) {
  const ConvSizes s = conv_sizes(g, images);
  const Index pooled = images * g.filters * pool.out_height * pool.out_width;
  return {{y.c, pooled},
          {y.positions, pooled},
          {y.gate, pooled},
          s.out_height,
          s.out_width,
          static_cast<int>(pool.out_height),
          static_cast<int>(pool.out_width),
          static_cast<int>(pool.window_height),
          static_cast<int>(pool.window_width)};
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
