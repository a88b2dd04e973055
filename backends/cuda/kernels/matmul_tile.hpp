// Tiled rung of the matrix product: a block stages slices of both operands in shared memory, each thread holds 4 x 4 outputs in registers. Where
// there are few tiles they are small, and groups of threads split the sum over the inner axis, whose parts are then added in a fixed order. The
// next slice is on its way from memory while one is multiplied.
#pragma once

#include <wengert/backends/cuda/kernels/matmul_finish.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

constexpr int product_threads = 256;

// splits: 1, 4 or 16 groups of threads, for tiles of 64 x 64, 32 x 32 or 16 x 16.
template <int splits, class Finish>
struct ProductTile {
  static constexpr int side = splits == 16 ? 4 : splits == 4 ? 8 : 16;  // threads of a group, squared
  static constexpr int tile = side * 4, pitch = tile + 4;
  static constexpr int depth = 1024 / tile;  // of a slice
  static constexpr int slice = depth * pitch;
  static constexpr int loads = tile * depth / product_threads;
  static constexpr int shared_floats = 2 * slice > splits* tile* tile ? 2 * slice : splits* tile* tile;

  ProductSizes s;
  int row_tiles, column_tiles;
  Global<const float> a, b;
  Finish finish;

  struct Next {
    float a[loads], b[loads];
  };

  WENGERT_DEVICE void operator()(Thread& thread) const {
    if (finish.stopped()) return;
    int rest = static_cast<int>(thread.block());
    const int first_column = rest % column_tiles * tile;
    rest /= column_tiles;
    const int first_row = rest % row_tiles * tile, n = rest / row_tiles;
    const int split = thread.index() / (side * side), row = thread.index() / side % side * 4, column = thread.index() % side * 4;
    const Shared<float> a_slice = thread.shared<float>(0, slice), b_slice = thread.shared<float>(slice * 4, slice);

    float sums[4][4] = {};
    Next next;
    read(thread, n, first_row, first_column, 0, next);
    for (int k = 0; k < s.inner; k += depth) {
      write(thread, a_slice, s.a.column == 1, next.a);
      write(thread, b_slice, s.b.row == 1, next.b);
      thread.barrier();
      read(thread, n, first_row, first_column, k + depth, next);
      for (int i = split; i < depth; i += splits) {
        const Four left = a_slice.load_four(i * pitch + row), right = b_slice.load_four(i * pitch + column);
        const float l[4] = {left.x, left.y, left.z, left.w}, r[4] = {right.x, right.y, right.z, right.w};
        for (int p = 0; p < 4; ++p)
          for (int q = 0; q < 4; ++q) sums[p][q] += l[p] * r[q];
      }
      thread.barrier();
    }

    const Shared<float> parts = thread.shared<float>(0, splits * tile * tile);
    for (int p = 0; p < 4; ++p)
      parts.store_four((split * tile + row + p) * tile + column, {sums[p][0], sums[p][1], sums[p][2], sums[p][3]});
    thread.barrier();
    for (int e = thread.index(); e < tile * tile; e += product_threads) {
      const int i = first_row + e / tile, j = first_column + e % tile;
      if (i >= s.rows || j >= s.columns) continue;
      float sum = 0.0f;
      for (int part = 0; part < splits; ++part) sum += parts.load(part * tile * tile + e);
      finish((Index{n} * s.rows + i) * s.columns + j, j, sum);
    }
  }

  // Of the elements that this thread brings: number u among rows (or columns) and depth, along the axis on which they lie side by side.
  WENGERT_DEVICE static int depth_of(const Thread& thread, bool along_depth, int u) {
    const int e = thread.index() + u * product_threads;
    return along_depth ? e % depth : e / tile;
  }
  WENGERT_DEVICE static int across_of(const Thread& thread, bool along_depth, int u) {
    const int e = thread.index() + u * product_threads;
    return along_depth ? e / depth : e % tile;
  }

  WENGERT_DEVICE void read(const Thread& thread, int n, int first_row, int first_column, int first, Next& next) const {
    for (int u = 0; u < loads; ++u) {
      const int k = first + depth_of(thread, s.a.column == 1, u), i = first_row + across_of(thread, s.a.column == 1, u);
      next.a[u] = k < s.inner && i < s.rows ? a.load(n * s.a.step + i * s.a.row + k * s.a.column) : 0.0f;
    }
    for (int u = 0; u < loads; ++u) {
      const int k = first + depth_of(thread, s.b.row == 1, u), j = first_column + across_of(thread, s.b.row == 1, u);
      next.b[u] = k < s.inner && j < s.columns ? b.load(n * s.b.step + k * s.b.row + j * s.b.column) : 0.0f;
    }
  }

  WENGERT_DEVICE static void write(const Thread& thread, const Shared<float>& to, bool along_depth, const float (&values)[loads]) {
    for (int u = 0; u < loads; ++u) to.store(depth_of(thread, along_depth, u) * pitch + across_of(thread, along_depth, u), values[u]);
  }
};

// One thread an output.
template <class Finish>
struct ProductPlain {
  ProductSizes s;
  Global<const float> a, b;
  Finish finish;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    if (finish.stopped()) return;
    for (Index i = thread.global(); i < s.outputs(); i += thread.total()) {
      const int column = static_cast<int>(i) % s.columns, rest = static_cast<int>(i) / s.columns, row = rest % s.rows, n = rest / s.rows;
      float sum = 0.0f;
      for (int k = 0; k < s.inner; ++k)
        sum += a.load(n * s.a.step + row * s.a.row + k * s.a.column) * b.load(n * s.b.step + k * s.b.row + column * s.b.column);
      finish(i, column, sum);
    }
  }
};

// One warp an output: its lanes share the sum, whose parts are added pairwise.
template <class Finish>
struct ProductWarp {
  ProductSizes s;
  Global<const float> a, b;
  Finish finish;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    if (finish.stopped()) return;
    const Index warps = thread.total() / warp_size;
    for (Index i = thread.global() / warp_size; i < s.outputs(); i += warps) {
      const int column = static_cast<int>(i) % s.columns, rest = static_cast<int>(i) / s.columns, row = rest % s.rows, n = rest / s.rows;
      float sum = 0.0f;
      for (int k = thread.lane(); k < s.inner; k += warp_size)
        sum += a.load(n * s.a.step + row * s.a.row + k * s.a.column) * b.load(n * s.b.step + k * s.b.row + column * s.b.column);
      for (int bits = warp_size / 2; bits > 0; bits /= 2) sum += thread.shuffle_xor(sum, bits);
      if (thread.lane() == 0) finish(i, column, sum);
    }
  }
};

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
