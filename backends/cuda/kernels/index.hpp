// Reading and adding at integer positions. The sums have an owner for each place, who looks through the indices in their order: no two
// threads add to one place.
#pragma once

#include <algorithm>
#include <limits>

#include <wengert/backends/cuda/index.hpp>
#include <wengert/backends/cuda/kernels/axes.hpp>
#include <wengert/backends/cuda/kernels/copy.hpp>
#include <wengert/backends/cuda/kernels/join.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

template <class T>
struct Gather {
  Global<const T> x;
  Global<const std::int32_t> indices;
  Global<T> y;
  Divisor inner, count;
  Index size = 0, elements = 0;
  T outside;  // for an index out of range

  WENGERT_DEVICE void operator()(Thread& thread) const {
    for (Index i = thread.global(); i < elements; i += thread.total()) {
      std::uint32_t rest = static_cast<std::uint32_t>(i);
      const Index b = inner.split(rest), index = indices.load(count.split(rest));
      const bool inside = index >= 0 && index < size;
      y.store(i, inside ? x.load((rest * size + index) * inner.value() + b) : outside);
    }
  }
};

struct ScatterAdd {
  Global<const float> y;
  Global<const std::int32_t> indices;
  Global<float> x;
  Divisor inner, size;
  Index count = 0, elements = 0;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    for (Index i = thread.global(); i < elements; i += thread.total()) {
      std::uint32_t rest = static_cast<std::uint32_t>(i);
      const Index b = inner.split(rest);
      const auto own = static_cast<std::int32_t>(size.split(rest));
      float sum = 0;
      for (Index k = 0; k < count; ++k) {
        if (indices.load(k) == own) sum += y.load((rest * count + k) * inner.value() + b);
      }
      x.store(i, sum);
    }
  }
};

struct OneHot {
  Global<const std::int32_t> at;
  Global<float> y;
  Divisor classes;
  Index elements = 0;
  WENGERT_DEVICE void operator()(Thread& thread) const {
    for (Index i = thread.global(); i < elements; i += thread.total()) {
      std::uint32_t row = static_cast<std::uint32_t>(i);
      const auto c = static_cast<std::int32_t>(classes.split(row));
      y.store(i, at.load(row) == c ? 1.0f : 0.0f);
    }
  }
};

struct TakeAlong {
  Global<const float> x;
  Global<const std::int32_t> positions;
  Global<float> y;
  Divisor row_y;
  Index row_x = 0, elements = 0;
  WENGERT_DEVICE void operator()(Thread& thread) const {
    for (Index i = thread.global(); i < elements; i += thread.total()) {
      const Index row = row_y.quotient(static_cast<std::uint32_t>(i)), position = positions.load(i);
      y.store(i, position >= 0 && position < row_x ? x.load(row * row_x + position) : not_a_number);
    }
  }
};

// A block sums up a tile of neighbouring places of a row in shared memory: thread t owns places t, t + size, ... of the tile, a power of two.
constexpr int along_threads = 256, along_tile = 8192;

struct PutAlong {
  Global<const float> y;
  Global<const std::int32_t> positions;
  Global<float> x;
  Index rows = 0, row_x = 0, row_y = 0;
  int tile = along_tile;  // places

  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Shared<float> sums = thread.shared<float>(0, tile);
    const Index across = (row_x + tile - 1) / tile;
    for (Index t = thread.block(); t < rows * across; t += thread.blocks()) {
      const Index row = t / across, first = t % across * tile;
      const Index rest = row_x - first;
      const int places = rest < tile ? static_cast<int>(rest) : tile;
      for (int p = thread.index(); p < places; p += thread.size()) sums.store(p, 0.0f);
      for (Index j = row * row_y; j < (row + 1) * row_y; ++j) {
        const Index place = positions.load(j) - first;
        const bool own = (place & (along_threads - 1)) == thread.index();
        if (own && place >= 0 && place < places) {
          const int p = static_cast<int>(place);
          sums.store(p, sums.load(p) + y.load(j));
        }
      }
      for (int p = thread.index(); p < places; p += thread.size()) x.store(row * row_x + first + p, sums.load(p));
    }
  }
};

// ---- Launching.

inline void gather(Queue& queue, DType dtype, const GatherSizes& sizes, const void* x, const std::int32_t* indices, void* y) {
  const Index in = sizes.outer * sizes.size * sizes.inner, out = sizes.outer * sizes.count * sizes.inner;
  want_elements(queue, out);
  if (out == 0) return;
  visit_device_type(queue, dtype, [&](auto zero) {
    using T = decltype(zero);
    launch(queue, "gather", grid_for(out),
           Gather<T>{{static_cast<const T*>(x), in},
                     {indices, sizes.count},
                     {static_cast<T*>(y), out},
                     Divisor(sizes.inner),
                     Divisor(sizes.count),
                     sizes.size,
                     out,
                     std::numeric_limits<T>::quiet_NaN()});  // 0 of integers
  });
}

inline void scatter_add(Queue& queue, const GatherSizes& sizes, const float* y, const std::int32_t* indices, float* x) {
  const Index in = sizes.outer * sizes.size * sizes.inner, out = sizes.outer * sizes.count * sizes.inner;
  want_elements(queue, in);
  want_elements(queue, out);
  if (in == 0) return;
  launch(queue, "scatter_add", grid_for(in),
         ScatterAdd{{y, out}, {indices, sizes.count}, {x, in}, Divisor(sizes.inner), Divisor(sizes.size), sizes.count, in});
}

inline void one_hot(Queue& queue, Index rows, Index classes, const std::int32_t* at, float* y) {
  const Index elements = rows * classes;
  want_elements(queue, elements);
  if (elements > 0) launch(queue, "one_hot", grid_for(elements), OneHot{{at, rows}, {y, elements}, Divisor(classes), elements});
}

inline void take_along(Queue& queue, const AlongSizes& sizes, const float* x, const std::int32_t* positions, float* y) {
  const Index out = sizes.rows * sizes.row_y;
  want_elements(queue, out);
  if (out == 0) return;
  launch(queue, "take_along", grid_for(out),
         TakeAlong{{x, sizes.rows * sizes.row_x}, {positions, out}, {y, out}, Divisor(sizes.row_y), sizes.row_x, out});
}

inline void put_along(Queue& queue, const AlongSizes& sizes, const float* y, const std::int32_t* positions, float* x) {
  const Index in = sizes.rows * sizes.row_x, out = sizes.rows * sizes.row_y;
  if (in == 0) return;
  const int tile = static_cast<int>(std::min<Index>(along_tile, sizes.row_x));
  const Index tiles = sizes.rows * ceil_div(sizes.row_x, tile);
  Grid grid = grid_for(tiles * along_threads, along_threads);
  grid.shared_bytes = tile * static_cast<int>(sizeof(float));
  launch(queue, "put_along", grid, PutAlong{{y, out}, {positions, out}, {x, in}, sizes.rows, sizes.row_x, sizes.row_y, tile});
}

inline IndexFunctions index_functions() { return {gather, scatter_add, one_hot, take_along, put_along}; }

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
