// Options that pooling ops share, and how they resolve against the planes (C,H,W) they are used on.
#pragma once

#include <string>

#include <wengert/backends/geometry.hpp>

namespace wengert {

// Height and width; one number means both.
struct PoolExtent {
  Index height, width;
  PoolExtent(Index both) : height(both), width(both) {}  // implicit, so that {.window = 2} reads well
  PoolExtent(Index rows, Index columns) : height(rows), width(columns) {}
};

struct PoolPadding {
  enum class Kind : std::uint8_t {
    valid,  // none: only whole windows
    same,   // ceil(size / stride) outputs, the odd element of padding at the end
    sides   // as given
  };
  Kind kind = Kind::valid;
  Index top = 0, bottom = 0, left = 0, right = 0;

  static PoolPadding valid() { return {}; }
  static PoolPadding same() { return {Kind::same}; }
  static PoolPadding sides(Index top, Index bottom, Index left, Index right) { return {Kind::sides, top, bottom, left, right}; }
};

struct Pool2dOptions {
  PoolExtent window = 2;
  PoolExtent stride = 0;           // 0: the window's size
  PoolPadding padding = {};
  bool count_padding = false;      // average pool: divide by the whole window, padding included
};

// The geometry for x (N,C,H,W). Throws Error("wanted ..., got ..."): x of another rank, a window larger than the padded input,
// sizes below 1, negative padding, or windows that would hold padding only; checked_at() of ops/support.hpp adds the caller.
PoolGeometry resolve(const Pool2dOptions& options, const Shape& x);

// What pooling ops carry.
struct PoolAttributes {
  PoolGeometry geometry;
  std::string describe() const { return geometry.describe(); }
};

// Throws Error unless x is (N, channels, height, width) of the geometry, respectively y (N, channels, out_height, out_width).
void want_pool_input(const PoolGeometry& geometry, const Shape& x);
void want_pool_output(const PoolGeometry& geometry, const Shape& y);

}  // namespace wengert
