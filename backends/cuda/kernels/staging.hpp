// Planes that convolutions read, and copying windows of them to shared memory, zero where they lie over the padding.
#pragma once

#include <wengert/backends/cuda/kernels/counting.hpp>
#include <wengert/backends/cuda/thread.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

// Numbered through: all images, all channels.
struct Planes {
  Global<const float> data;
  int height, width;

  WENGERT_DEVICE float load(int plane, int row, int column) const { return data.load((plane * height + row) * width + column); }
};

// The window that starts at (top, left), which may be negative, of channels first_plane + i, i < channels, and of those of further images,
// image_planes on. Beyond channels and images zeros are stored, too.
struct Window {
  int first_plane, image_planes;
  int images, channels;
  int top, left;
};

WENGERT_DEVICE void stage(const Thread& thread, const Shared<float>& to, const Staging& s, const Planes& from, const Window& window) {
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
