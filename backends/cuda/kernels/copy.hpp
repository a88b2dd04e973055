// Moving elements: one thread an element in the order of what is written, or tiles by way of shared memory where the two sides' neighbours
// lie along different axes. Memory sets the speed.
#pragma once

#include <algorithm>
#include <type_traits>

#include <wengert/backends/cuda/copy.hpp>
#include <wengert/backends/cuda/kernels/axes.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

template <class T>
struct CopyBox {
  Axes<2> axes;
  Global<const T> from;
  Global<T> to;
  Index from_first = 0, to_first = 0, count = 0;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    for (Index i = thread.global(); i < count; i += thread.total()) {
      Index at[2];
      axes.place(static_cast<std::uint32_t>(i), at);
      to.store(to_first + at[1], from.load(from_first + at[0]));
    }
  }
};

constexpr int tile_size = 32, tile_rows = 8;  // a tile is square; so many of its rows are moved at once

// A matrix for each index of `outer`: neighbours lie along the columns of `to` and along the rows of `from`. The tile in shared memory has a
// column more, so that neither side's accesses meet in a bank.
template <class T>
struct CopyTiles {
  Axes<2> outer;
  Global<const T> from;
  Global<T> to;
  Index from_first = 0, to_first = 0;
  Index rows = 0, columns = 0;  // element (r,c): from[r + c from_pitch], to[r to_pitch + c]
  Index from_pitch = 0, to_pitch = 0;
  Index tiles = 0;  // of all matrices
  Divisor tiles_down, tiles_across;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Shared<T> tile = thread.shared<T>(0, tile_size * (tile_size + 1));
    const int x = thread.index() % tile_size, y = thread.index() / tile_size;
    for (Index t = thread.block(); t < tiles; t += thread.blocks()) {
      std::uint32_t rest = static_cast<std::uint32_t>(t);
      const Index column = Index{tiles_across.split(rest)} * tile_size, row = Index{tiles_down.split(rest)} * tile_size;
      Index at[2];
      outer.place(rest, at);
      for (int j = y; j < tile_size; j += tile_rows) {
        if (row + x < rows && column + j < columns)
          tile.store(j * (tile_size + 1) + x, from.load(from_first + at[0] + row + x + (column + j) * from_pitch));
      }
      thread.barrier();
      for (int j = y; j < tile_size; j += tile_rows) {
        if (row + j < rows && column + x < columns)
          to.store(to_first + at[1] + (row + j) * to_pitch + column + x, tile.load(x * (tile_size + 1) + j));
      }
      thread.barrier();
    }
  }
};

template <class T>
struct Fill {
  Global<T> to;
  T value;
  Index count = 0;
  WENGERT_DEVICE void operator()(Thread& thread) const {
    for (Index i = thread.global(); i < count; i += thread.total()) to.store(i, value);
  }
};

template <class From, class To>
struct Cast {
  Global<const From> from;
  Global<To> to;
  Index count = 0;
  WENGERT_DEVICE void operator()(Thread& thread) const {
    for (Index i = thread.global(); i < count; i += thread.total()) to.store(i, static_cast<To>(from.load(i)));
  }
};

// body(T{}) with the type of f32, i32 or u8.
template <class Body>
void visit_device_type(const Queue& queue, DType dtype, const Body& body) {
  switch (dtype) {
    case DType::f32: return body(float{});
    case DType::i32: return body(std::int32_t{});
    case DType::u8: return body(std::uint8_t{});
    case DType::f64: break;
  }
  want(queue, std::string("wanted f32, i32 or u8 on a CUDA device, got ") + name(dtype));
}

// The box as matrices of CopyTiles, where its sides have their neighbours along different axes that are worth a tile.
template <class T>
bool copy_tiles(Queue& queue, const Axes<2>& axes, CopyTiles<T> body) {
  if (axes.depth() < 2 || axes.step(0, 1) != 1) return false;
  int row = 0;  // the axis of neighbours in `from`
  while (row < axes.depth() && axes.step(row, 0) != 1) ++row;
  if (row == 0 || row == axes.depth() || std::min(axes.size(0), axes.size(row)) < tile_size / 4) return false;
  Shape others;
  Strides from{}, to{};
  for (int axis = axes.depth() - 1; axis > 0; --axis) {
    if (axis == row) continue;
    from[static_cast<std::size_t>(others.rank())] = axes.step(axis, 0);
    to[static_cast<std::size_t>(others.rank())] = axes.step(axis, 1);
    others.push_back(axes.size(axis));
  }
  body.outer = Axes<2>(others, {from, to});
  body.rows = axes.size(row), body.columns = axes.size(0);
  body.from_pitch = axes.step(0, 0), body.to_pitch = axes.step(row, 1);
  const Index down = ceil_div(body.rows, tile_size), across = ceil_div(body.columns, tile_size);
  body.tiles_down = Divisor(down), body.tiles_across = Divisor(across);
  body.tiles = others.elements() * down * across;
  Grid grid = grid_for(body.tiles * tile_size * tile_rows, tile_size * tile_rows);
  grid.shared_bytes = tile_size * (tile_size + 1) * static_cast<int>(sizeof(T));
  launch(queue, "copy_tiles", grid, body);
  return true;
}

inline void copy_box(Queue& queue, DType dtype, const Shape& box, const void* from, const BoxSide& from_side, void* to,
                     const BoxSide& to_side) {
  const Index count = box.elements();
  if (count == 0) return;
  want_elements(queue, count);
  const Axes<2> axes(box, {from_side.strides, to_side.strides});
  visit_device_type(queue, dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const source = static_cast<const T*>(from);
    T* const target = static_cast<T*>(to);
    if (axes.contiguous(0) && axes.contiguous(1)) {
      queue.copy(target + to_side.first, source + from_side.first, count * static_cast<Index>(sizeof(T)));
      return;
    }
    const Global<const T> in{source, from_side.elements};
    const Global<T> out{target, to_side.elements};
    CopyTiles<T> tiles;
    tiles.from = in, tiles.to = out, tiles.from_first = from_side.first, tiles.to_first = to_side.first;
    if (copy_tiles(queue, axes, tiles)) return;
    launch(queue, "copy_box", grid_for(count), CopyBox<T>{axes, in, out, from_side.first, to_side.first, count});
  });
}

inline void fill(Queue& queue, DType dtype, double value, Index count, void* to) {
  if (count == 0) return;
  visit_device_type(queue, dtype, [&](auto zero) {
    using T = decltype(zero);
    launch(queue, "fill", grid_for(count), Fill<T>{{static_cast<T*>(to), count}, static_cast<T>(value), count});
  });
}

inline void cast(Queue& queue, DType from_type, DType to_type, Index count, const void* from, void* to) {
  if (count == 0) return;
  visit_device_type(queue, from_type, [&](auto from_zero) {
    using From = decltype(from_zero);
    visit_device_type(queue, to_type, [&](auto to_zero) {
      using To = decltype(to_zero);
      launch(queue, "cast", grid_for(count), Cast<From, To>{{static_cast<const From*>(from), count}, {static_cast<To*>(to), count}, count});
    });
  });
}

inline CopyFunctions copy_functions() { return {copy_box, fill, cast}; }

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
