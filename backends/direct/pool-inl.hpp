// What the pooling kernels share: windows clipped to the plane, and vectors of pixels in nhwc8. Private to the .cpp files of backends/direct/;
// to be included after highway-inl.hpp and transpose-inl.hpp (which has D8).
#ifndef WENGERT_DIRECT_POOL_ONCE
#define WENGERT_DIRECT_POOL_ONCE

#include <algorithm>

#include <wengert/backends/geometry.hpp>

namespace wengert::direct {

// Rows or columns [first, last) that a window covers inside the plane.
struct Extent {
  Index first, last;
  Index size() const { return last - first; }
};

// One axis of a pool.
struct PoolAxis {
  Index size, window, out, stride, pad;  // pad: before the first element

  Extent extent(Index o) const { return {std::max<Index>(o * stride - pad, 0), std::min(o * stride - pad + window, size)}; }
  // Outputs [first, last) whose windows lie inside as a whole.
  Extent whole() const {
    const Index first = std::min(out, (pad + stride - 1) / stride);
    const Index fits = size + pad - window;
    return {first, fits < 0 ? first : std::clamp(fits / stride + 1, first, out)};
  }
  bool apart() const { return stride >= window; }                                        // no element lies in two windows
  bool covered() const { return stride == window && pad == 0 && out * stride == size; }  // each lies in exactly one
};

inline PoolAxis rows_of(const PoolGeometry& g) { return {g.height, g.window_height, g.out_height, g.stride_height, g.pad_top}; }
inline PoolAxis columns_of(const PoolGeometry& g) { return {g.width, g.window_width, g.out_width, g.stride_width, g.pad_left}; }

// What a sum over the part of a window inside the plane is to be multiplied with.
inline float share_of(const PoolGeometry& g, Extent rows, Extent columns) {
  return 1.0f / static_cast<float>(g.count_padding ? g.window_height * g.window_width : rows.size() * columns.size());
}

}  // namespace wengert::direct
#endif
