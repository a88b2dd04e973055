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
  static constexpr int sums = splits * tile * tile, shared_floats = 2 * slice > sums ? 2 * slice : sums;

  ProductSizes s;
  int row_tiles, column_tiles;
  Global<const float> a, b;
  Finish finish;

  // Of the elements of a slice those that a thread brings: where the first stands, and how far apart they are.
  struct Share {
    int depth, across, depth_step, across_step;
  };

  WENGERT_DEVICE void operator()(Thread& thread) const {
    if (finish.does_nothing()) return;
    int rest = static_cast<int>(thread.block());
    const int first_column = rest % column_tiles * tile;
    rest /= column_tiles;
    const int first_row = rest % row_tiles * tile, n = rest / row_tiles;
    const int split = thread.index() / (side * side), row = thread.index() / side % side * 4, column = thread.index() % side * 4;
    const Shared<float> a_slice = thread.shared<float>(0, slice), b_slice = thread.shared<float>(slice * 4, slice);

    const Share a_share = share_of(thread, s.a.column == 1), b_share = share_of(thread, s.b.row == 1);
    const Index a_first = n * s.a.step + Index{first_row} * s.a.row, b_first = n * s.b.step + Index{first_column} * s.b.column;
    const auto read_next = [&](int k, float(&next_a)[loads], float(&next_b)[loads]) {
      read(a, a_first, a_share, s.a.column, s.a.row, s.rows - first_row, k, next_a);
      read(b, b_first, b_share, s.b.row, s.b.column, s.columns - first_column, k, next_b);
    };

    float own[4][4] = {}, next_a[loads], next_b[loads];
    read_next(0, next_a, next_b);
    for (int k = 0; k < s.inner; k += depth) {
      write(a_slice, a_share, next_a);
      write(b_slice, b_share, next_b);
      thread.barrier();
      read_next(k + depth, next_a, next_b);
      for (int j = 0; j < depth / splits; ++j) {
        const int i = split + j * splits;
        const Four left = a_slice.load_four(i * pitch + row), right = b_slice.load_four(i * pitch + column);
        const float l[4] = {left.x, left.y, left.z, left.w}, r[4] = {right.x, right.y, right.z, right.w};
        for (int p = 0; p < 4; ++p)
          for (int q = 0; q < 4; ++q) own[p][q] += l[p] * r[q];
      }
      thread.barrier();
    }

    const Shared<float> parts = thread.shared<float>(0, sums);
    for (int p = 0; p < 4; ++p) parts.store_four((split * tile + row + p) * tile + column, {own[p][0], own[p][1], own[p][2], own[p][3]});
    thread.barrier();
    for (int e = thread.index(); e < tile * tile; e += thread.size()) {
      const int i = first_row + e / tile, j = first_column + e % tile;
      if (i >= s.rows || j >= s.columns) continue;
      float sum = 0.0f;
      for (int part = 0; part < splits; ++part) sum += parts.load(part * tile * tile + e);
      finish((Index{n} * s.rows + i) * s.columns + j, j, sum);
    }
  }

  // Threads stand along the axis on which elements lie side by side.
  WENGERT_DEVICE static Share share_of(const Thread& thread, bool along_depth) {
    const int t = thread.index();
    return along_depth ? Share{t % depth, t / depth, 0, product_threads / depth} : Share{t / tile, t % tile, product_threads / tile, 0};
  }

  // `first` is the operand's element at the tile's first row (or column) and depth 0, of which `across` are left.
  WENGERT_DEVICE void read(const Global<const float>& from, Index first, const Share& share, int depth_stride, int across_stride,
                           int across, int k, float (&values)[loads]) const {
    for (int u = 0; u < loads; ++u) {
      const int inner = k + share.depth + u * share.depth_step, i = share.across + u * share.across_step;
      values[u] = inner < s.inner && i < across ? from.load(first + i * across_stride + inner * depth_stride) : 0.0f;
    }
  }

  WENGERT_DEVICE static void write(const Shared<float>& to, const Share& share, const float (&values)[loads]) {
    for (int u = 0; u < loads; ++u)
      to.store((share.depth + u * share.depth_step) * pitch + share.across + u * share.across_step, values[u]);
  }
};

// One thread an output, or one warp: then its lanes share the sum, whose parts are added pairwise.
template <int lanes, class Finish>
struct ProductLanes {
  static_assert(lanes == 1 || lanes == warp_size);
  ProductSizes s;
  Global<const float> a, b;
  Finish finish;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    if (finish.does_nothing()) return;
    const int lane = thread.index() % lanes;
    for (Index i = thread.global() / lanes; i < s.outputs(); i += thread.total() / lanes) {
      const int column = static_cast<int>(i) % s.columns, rest = static_cast<int>(i) / s.columns, row = rest % s.rows, n = rest / s.rows;
      float sum = 0.0f;
      for (int k = lane; k < s.inner; k += lanes)
        sum += a.load(n * s.a.step + row * s.a.row + k * s.a.column) * b.load(n * s.b.step + k * s.b.row + column * s.b.column);
      for (int bits = lanes / 2; bits > 0; bits /= 2) sum += thread.shuffle_xor(sum, bits);
      if (lane == 0) finish(i, column, sum);
    }
  }
};

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
