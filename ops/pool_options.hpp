// Options that pooling ops share, and how they resolve against the planes (C,H,W) they are used on.
#pragma once

#include <string>

#include <wengert/backends/geometry.hpp>
#include <wengert/ops/plane_options.hpp>

namespace wengert {

struct Pool2dOptions {
  Extent2d window = 2;
  Extent2d stride = 0;  // 0: the window's size
  Padding2d padding = {};
  bool count_padding = false;  // average pool: divide by the whole window, padding included
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
