// Copying windows of planes to shared memory, zero where they lie over the padding.
#pragma once

#include <wengert/backends/cuda/kernels/counting.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

// Planes as they lie in memory.
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

// The window that starts at (top, left), which may be negative, of channels first_plane + i, i < channels, and of those of further images,
// image_planes on. Beyond channels and images zeros are stored, too.
struct Window {
  int first_plane, image_planes;
  int images, channels;
  int top, left;
};

template <class Source>
WENGERT_DEVICE void stage(const Thread& thread, const Shared<float>& to, const Staging& s, const Source& from, const Window& window) {
  constexpr int at_once = 4;  // loads in flight
  const int lane = thread.index() % s.lanes, first = thread.index() / s.lanes;
  if (first >= s.rows_at_once) return;
  const int end = s.rows * s.pitch, step = s.rows_at_once * s.pitch;
  for (int column = lane; column < s.pitch; column += s.lanes) {
    const int v = window.left + column;
    const bool inside = v >= 0 && v < from.width;
    Digits at = digits_of(s.count, first);
    for (int place = first * s.pitch + column; place < end;) {
      float values[at_once];
      for (int u = 0; u < at_once; ++u) {
        const int h = window.top + at.low;
        const bool there = inside && h >= 0 && h < from.height && at.middle < window.channels && at.high < window.images;
        values[u] = there ? from.load(window.first_plane + at.high * window.image_planes + at.middle, h, v) : 0.0f;
        advance(s.count, at);
      }
      for (int u = 0; u < at_once; ++u, place += step)
        if (place < end) to.store(place, values[u]);
    }
  }
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
