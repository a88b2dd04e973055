#include <wengert/ops/pool_options.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>

namespace wengert {

namespace {

// One axis of the planes.
struct PoolAxis {
  const char* name;
  Index size, window, stride, before, after, out = 0;
};

void resolve_axis(Padding2d::Kind kind, PoolAxis& axis) {
  const auto& [name, size, window, stride, before, after, out] = axis;
  if (axis.stride == 0) axis.stride = window;
  if (window < 1) fail(fmt::format("wanted a window of at least 1, got {} {}", name, window));
  if (stride < 1) fail(fmt::format("wanted a stride of at least 1, got {} {}", name, stride));
  if (before < 0 || after < 0) fail(fmt::format("wanted padding of 0 or more, got {} {}+{}", name, before, after));
  constexpr Index largest = Index{1} << 31;  // so that no sum below overflows
  if (std::max({size, window, stride, before, after}) > largest)
    fail(fmt::format("wanted {}, window, stride and padding of at most 2^31", name));
  if (size < 1) fail(fmt::format("wanted planes with at least one element, got {} {}", name, size));
  const Sides padding = resolve_padding(kind, {before, after}, size, window, stride, 1);
  axis.before = padding.before;
  axis.after = padding.after;
  if (window > before + size + after) {
    fail(fmt::format("wanted a window no larger than the padded input, got {} {} for {} with padding {}+{}", name, window, size, before,
                     after));
  }
  axis.out = (before + size + after - window) / stride + 1;
  if (before >= window || (out - 1) * stride - before >= size) {
    fail(fmt::format("wanted every window to hold an element of the input, got {} {} stride {} for {} with padding {}+{}", name, window,
                     stride, size, before, after));
  }
}

void want_planes(const char* role, const Shape& shape, Index channels, Index height, Index width) {
  if (shape.rank() == 4 && shape[1] == channels && shape[2] == height && shape[3] == width) return;
  fail(fmt::format("wanted {} (N,{},{},{}), got {}", role, channels, height, width, shape.text()));
}

}  // namespace

PoolGeometry resolve(const Pool2dOptions& options, const Shape& x) {
  if (x.rank() != 4) fail("wanted x (N,C,H,W), got " + x.text());
  const Padding2d& padding = options.padding;
  PoolAxis rows{"height", x[2], options.window.height, options.stride.height, padding.top, padding.bottom};
  PoolAxis columns{"width", x[3], options.window.width, options.stride.width, padding.left, padding.right};
  resolve_axis(padding.kind, rows);
  resolve_axis(padding.kind, columns);
  PoolGeometry g;
  g.channels = x[1];
  g.height = rows.size;
  g.width = columns.size;
  g.window_height = rows.window;
  g.window_width = columns.window;
  g.out_height = rows.out;
  g.out_width = columns.out;
  g.stride_height = rows.stride;
  g.stride_width = columns.stride;
  g.pad_top = rows.before;
  g.pad_bottom = rows.after;
  g.pad_left = columns.before;
  g.pad_right = columns.after;
  g.count_padding = options.count_padding;
  return g;
}

void want_pool_input(const PoolGeometry& g, const Shape& x) { want_planes("x", x, g.channels, g.height, g.width); }
void want_pool_output(const PoolGeometry& g, const Shape& y) { want_planes("y", y, g.channels, g.out_height, g.out_width); }

}  // namespace wengert
