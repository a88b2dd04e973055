// Pooling: one thread an output, and for the gradients one thread an element of x, which collects from the windows that hold it in their
// order: no two threads add to one place. Memory sets the speed.
#pragma once

#include <wengert/backends/cuda/kernels/axes.hpp>
#include <wengert/backends/cuda/pool.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

struct Range {
  int first, last;  // [first, last)
};

// One axis of the planes.
struct PoolAxis {
  int size = 1, window = 1, out = 1, before = 0;
  Divisor stride;

  PoolAxis() = default;
  PoolAxis(Index axis_size, Index axis_window, Index axis_out, Index axis_stride, Index axis_before)
      : size(static_cast<int>(axis_size)),
        window(static_cast<int>(axis_window)),
        out(static_cast<int>(axis_out)),
        before(static_cast<int>(axis_before)),
        stride(axis_out == 1 ? 1 : axis_stride) {}

  // The elements that the window of output o holds inside the plane.
  WENGERT_DEVICE Range inside(int o) const {
    const int begin = o * static_cast<int>(stride.value()) - before, end = begin + window;
    return {begin < 0 ? 0 : begin, end < size ? end : size};
  }
  // The outputs whose windows hold element i.
  WENGERT_DEVICE Range outputs(int i) const {
    const int place = i + before, earliest = place - window + 1;
    const int first = earliest <= 0 ? 0 : quotient(earliest - 1) + 1, last = quotient(place) + 1;
    return {first, last < out ? last : out};
  }

 private:
  WENGERT_DEVICE int quotient(int n) const { return static_cast<int>(stride.quotient(static_cast<std::uint32_t>(n))); }
};

struct PoolPlanes {
  PoolAxis rows, columns;
  bool count_padding = false;
  Divisor height, width, out_height, out_width;

  WENGERT_DEVICE float elements(const Range& h, const Range& w) const {
    return static_cast<float>(count_padding ? rows.window * columns.window : (h.last - h.first) * (w.last - w.first));
  }
};

// Where element i of all planes lies.
struct PlanePlace {
  Index plane;
  int row, column;
};
WENGERT_DEVICE PlanePlace place_in(const Divisor& height, const Divisor& width, Index i) {
  std::uint32_t rest = static_cast<std::uint32_t>(i);
  const int column = static_cast<int>(width.split(rest)), row = static_cast<int>(height.split(rest));
  return {rest, row, column};
}

struct MaxPool {
  PoolPlanes p;
  Global<const float> x;
  Global<float> y;
  Global<std::int32_t> positions;
  Index count = 0;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    for (Index i = thread.global(); i < count; i += thread.total()) {
      const PlanePlace at = place_in(p.out_height, p.out_width, i);
      const Range h = p.rows.inside(at.row), w = p.columns.inside(at.column);
      const Index first = at.plane * p.rows.size * p.columns.size;
      int best = h.first * p.columns.size + w.first;
      float largest = x.load(first + best);
      for (int r = h.first; r < h.last; ++r) {
        for (int c = w.first; c < w.last; ++c) {
          const float value = x.load(first + r * p.columns.size + c);
          const bool first_nan = value != value && largest == largest;
          if (value > largest || first_nan) largest = value, best = r * p.columns.size + c;
        }
      }
      y.store(i, largest);
      positions.store(i, best);
    }
  }
};

struct Winners {
  PoolPlanes p;
  Global<const float> y;
  Global<const std::int32_t> positions;
  Global<const float> gate;
  Global<float> x;
  Index count = 0;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    for (Index i = thread.global(); i < count; i += thread.total()) {
      const PlanePlace at = place_in(p.height, p.width, i);
      const Range h = p.rows.outputs(at.row), w = p.columns.outputs(at.column);
      const int here = at.row * p.columns.size + at.column;
      float sum = 0;
      for (int r = h.first; r < h.last; ++r) {
        for (int c = w.first; c < w.last; ++c) {
          const Index o = (at.plane * p.rows.out + r) * p.columns.out + c;
          if (positions.load(o) == here && !(gate.load(o) <= 0.0f)) sum += y.load(o);
        }
      }
      x.store(i, sum);
    }
  }
};

struct AveragePool {
  PoolPlanes p;
  Global<const float> x;
  Global<float> y;
  Index count = 0;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    for (Index i = thread.global(); i < count; i += thread.total()) {
      const PlanePlace at = place_in(p.out_height, p.out_width, i);
      const Range h = p.rows.inside(at.row), w = p.columns.inside(at.column);
      const Index first = at.plane * p.rows.size * p.columns.size;
      float sum = 0;
      for (int r = h.first; r < h.last; ++r) {
        for (int c = w.first; c < w.last; ++c) sum += x.load(first + r * p.columns.size + c);
      }
      y.store(i, sum / p.elements(h, w));
    }
  }
};

struct AveragePoolData {
  PoolPlanes p;
  Global<const float> y;
  Global<float> x;
  Index count = 0;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    for (Index i = thread.global(); i < count; i += thread.total()) {
      const PlanePlace at = place_in(p.height, p.width, i);
      const Range h = p.rows.outputs(at.row), w = p.columns.outputs(at.column);
      float sum = 0;
      for (int r = h.first; r < h.last; ++r) {
        const Range rows = p.rows.inside(r);
        for (int c = w.first; c < w.last; ++c) {
          const Index o = (at.plane * p.rows.out + r) * p.columns.out + c;
          sum += y.load(o) / p.elements(rows, p.columns.inside(c));
        }
      }
      x.store(i, sum);
    }
  }
};

// ---- Launching.

struct PoolSizes {
  PoolPlanes planes;
  Index in, out;  // elements of all planes
};

inline PoolSizes pool_sizes(const Queue& queue, const PoolGeometry& g, Index planes) {
  want_elements(queue, g.pad_top + g.height + g.pad_bottom);
  want_elements(queue, g.pad_left + g.width + g.pad_right);
  want_elements(queue, g.window_height * g.window_width);
  const PoolSizes sizes{{{g.height, g.window_height, g.out_height, g.stride_height, g.pad_top},
                         {g.width, g.window_width, g.out_width, g.stride_width, g.pad_left},
                         g.count_padding,
                         Divisor(g.height),
                         Divisor(g.width),
                         Divisor(g.out_height),
                         Divisor(g.out_width)},
                        planes * g.height * g.width,
                        planes * g.out_height * g.out_width};
  want_elements(queue, sizes.in);
  want_elements(queue, sizes.out);
  return sizes;
}

inline void max_pool2d(Queue& queue, const PoolGeometry& geometry, Index planes, const float* x, float* y, std::int32_t* positions) {
  const auto [p, in, out] = pool_sizes(queue, geometry, planes);
  if (out > 0) launch(queue, "max_pool2d", grid_for(out), MaxPool{p, {x, in}, {y, out}, {positions, out}, out});
}

inline void winners(Queue& queue, const PoolGeometry& geometry, Index planes, const float* y, const std::int32_t* positions,
                    const float* gate, float* x) {
  const auto [p, in, out] = pool_sizes(queue, geometry, planes);
  if (in > 0) launch(queue, "winners", grid_for(in), Winners{p, {y, out}, {positions, out}, {gate, out}, {x, in}, in});
}

inline void average_pool2d(Queue& queue, const PoolGeometry& geometry, Index planes, const float* x, float* y) {
  const auto [p, in, out] = pool_sizes(queue, geometry, planes);
  if (out > 0) launch(queue, "average_pool2d", grid_for(out), AveragePool{p, {x, in}, {y, out}, out});
}

inline void average_pool2d_data(Queue& queue, const PoolGeometry& geometry, Index planes, const float* y, float* x) {
  const auto [p, in, out] = pool_sizes(queue, geometry, planes);
  if (in > 0) launch(queue, "average_pool2d_data", grid_for(in), AveragePoolData{p, {y, out}, {x, in}, in});
}

inline PoolFunctions pool_functions() { return {max_pool2d, winners, average_pool2d, average_pool2d_data}; }

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
