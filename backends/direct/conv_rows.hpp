// What the direct convolution kernels do besides multiplying: pooling of finished rows, the gate, blocks of 8 channels to planes and back.
// Private to backends/direct/conv*.cpp.
#pragma once

#include <cstdint>

#include <wengert/backends/geometry.hpp>

namespace wengert::direct {

// One row of windows over a plane of 8 channels, of which the last `ring` rows are kept: row h at rows + h % ring * pitch.
struct PoolCall {
  const PoolGeometry* pool;
  const float* rows;
  Index ring, pitch, out_row;
  float floor;              // 0 for ReLU behind it, else -infinity
  float* out;               // out_width x 8
  std::int32_t* positions;  // the same, or null
};

// Functions of the target that was current when they were picked.
struct RowFunctions {
  void (*pool)(const PoolCall& call);
  // out[i] = 0 where gate[i] <= 0 (so not where it is NaN).
  void (*gate)(Index count, const float* gate, float* out);
  // (pixels, `pixel` floats each), of which the first `channels` are taken, to (channels, pixels).
  void (*to_planes)(Index pixels, Index channels, Index pixel, const float* in, float* out);
  // (channels, pixels), at most 8 channels, to (pixels, 8); the other lanes are written as zero.
  void (*from_planes)(Index pixels, Index channels, const float* in, float* out);
};
RowFunctions row_functions();

}  // namespace wengert::direct
