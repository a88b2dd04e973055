#include <wengert/backends/naive/pool.hpp>

#include <algorithm>
#include <cassert>

namespace wengert::naive {
namespace {

// The part of a window that lies inside the plane: rows [top, bottom), columns [left, right).
struct Window {
  Index top, bottom, left, right;
  Index elements() const { return (bottom - top) * (right - left); }
};

Window window_of(const PoolGeometry& g, Index oh, Index ow) {
  const Index top = oh * g.stride_height - g.pad_top, left = ow * g.stride_width - g.pad_left;
  const Window window{std::max<Index>(top, 0), std::min(top + g.window_height, g.height), std::max<Index>(left, 0),
                      std::min(left + g.window_width, g.width)};
  assert(window.top < window.bottom && window.left < window.right);
  return window;
}

Index divisor(const PoolGeometry& g, const Window& window) {
  return g.count_padding ? g.window_height * g.window_width : window.elements();
}

// body(plane, output, window) for every output of every plane of the batch; outputs are numbered through.
template <class Body>
void for_each_window(const PoolGeometry& g, Index batch, const Body& body) {
  Index output = 0;
  for (Index plane = 0; plane < batch * g.channels; ++plane)
    for (Index oh = 0; oh < g.out_height; ++oh)
      for (Index ow = 0; ow < g.out_width; ++ow) body(plane, output++, window_of(g, oh, ow));
}

template <class T>
Index first_maximum(const T* x, Index width, const Window& window) {
  Index best = window.top * width + window.left;
  for (Index h = window.top; h < window.bottom; ++h)
    for (Index w = window.left; w < window.right; ++w) {
      const T value = x[h * width + w];
      if (value != value) return h * width + w;  // NaN
      if (value > x[best]) best = h * width + w;
    }
  return best;
}

}  // namespace

void max_pool2d(const PoolGeometry& g, const View& x, const View& y, const View& positions) {
  visit_float(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const from = x.read<T>();
    T* const to = y.write<T>();
    std::int32_t* const at = positions.write<std::int32_t>();
    for_each_window(g, x.shape[0], [&](Index plane, Index output, const Window& window) {
      const T* const image = from + plane * g.height * g.width;
      const Index best = first_maximum(image, g.width, window);
      to[output] = image[best];
      at[output] = static_cast<std::int32_t>(best);
    });
  });
}

void average_pool2d(const PoolGeometry& g, const View& x, const View& y) {
  visit_float(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const from = x.read<T>();
    T* const to = y.write<T>();
    for_each_window(g, x.shape[0], [&](Index plane, Index output, const Window& window) {
      const T* const image = from + plane * g.height * g.width;
      T sum = 0;
      for (Index h = window.top; h < window.bottom; ++h)
        for (Index w = window.left; w < window.right; ++w) sum += image[h * g.width + w];
      to[output] = sum / static_cast<T>(divisor(g, window));
    });
  });
}

void average_pool2d_data(const PoolGeometry& g, const View& y, const View& x) {
  visit_float(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const from = y.read<T>();
    T* const to = x.write<T>();
    std::fill_n(to, x.elements(), T{0});
    for_each_window(g, y.shape[0], [&](Index plane, Index output, const Window& window) {
      T* const image = to + plane * g.height * g.width;
      const T share = from[output] / static_cast<T>(divisor(g, window));
      for (Index h = window.top; h < window.bottom; ++h)
        for (Index w = window.left; w < window.right; ++w) image[h * g.width + w] += share;
    });
  });
}

void put_along(Index rows, const View& y, const View& positions, const View& x) {
  visit_float(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = y.read<T>();
    const std::int32_t* at = positions.read<std::int32_t>();
    T* to = x.write<T>();
    std::fill_n(to, x.elements(), T{0});
    if (rows == 0) return;
    const Index row_in = y.elements() / rows, row_out = x.elements() / rows;
    for (Index r = 0; r < rows; ++r, from += row_in, at += row_in, to += row_out)
      for (Index j = 0; j < row_in; ++j) {
        assert(at[j] >= 0 && at[j] < row_out);
        to[at[j]] += from[j];
      }
  });
}

void take_along(Index rows, const View& x, const View& positions, const View& y) {
  visit_float(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.read<T>();
    const std::int32_t* at = positions.read<std::int32_t>();
    T* to = y.write<T>();
    if (rows == 0) return;
    const Index row_in = x.elements() / rows, row_out = y.elements() / rows;
    for (Index r = 0; r < rows; ++r, from += row_in, at += row_out, to += row_out)
      for (Index j = 0; j < row_out; ++j) {
        assert(at[j] >= 0 && at[j] < row_in);
        to[j] = from[at[j]];
      }
  });
}

}  // namespace wengert::naive
