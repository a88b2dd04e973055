// Options that convolution and pooling share: extents and padding of the planes (H,W) they slide over.
#pragma once

#include <cstdint>

#include <wengert/engine/types.hpp>

namespace wengert {

// Height and width; one number means both.
struct Extent2d {
  Index height, width;
  Extent2d(Index both) : height(both), width(both) {}  // implicit, so that {.stride = 2} reads well
  Extent2d(Index rows, Index columns) : height(rows), width(columns) {}
};

struct Padding2d {
  enum class Kind : std::uint8_t {
    valid,  // none
    same,   // ceil(size / stride) outputs, the odd one at the end
    full,   // dilation * (kernel - 1) on every side
    sides   // as given
  };
  Kind kind = Kind::valid;
  Index top = 0, bottom = 0, left = 0, right = 0;

  static Padding2d valid() { return {}; }
  static Padding2d same() { return {Kind::same}; }
  static Padding2d full() { return {Kind::full}; }
  static Padding2d sides(Index top, Index bottom, Index left, Index right) { return {Kind::sides, top, bottom, left, right}; }
};

// Padding of one axis.
struct Sides {
  Index before = 0, after = 0;
};

// In numbers, for an axis of that size; `given` is what Kind::sides means. A window has the kernel's size and dilation 1.
Sides resolve_padding(Padding2d::Kind kind, Sides given, Index size, Index kernel, Index stride, Index dilation);

}  // namespace wengert
