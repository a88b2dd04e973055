// Matrix products and linear layers: launches of the kernels in matmul_tile.hpp, and the vendor's product.
#pragma once

#include <algorithm>
#include <limits>

#include <wengert/backends/cuda/kernels/matmul_tile.hpp>
#include <wengert/backends/cuda/matmul.hpp>
#include <wengert/backends/cuda/refusal.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

inline Index a_elements(const MatmulGeometry& g) { return (g.shared_a ? 1 : g.batch) * g.rows * g.inner; }
inline Index b_elements(const MatmulGeometry& g) { return (g.shared_b ? 1 : g.batch) * g.inner * g.columns; }

// Kernels index a matrix by int.
inline std::string refuse_matmul(const MatmulGeometry& g) {
  constexpr Index most = std::numeric_limits<int>::max();
  if (std::max({a_elements(g), b_elements(g), g.batch * g.rows * g.columns, g.inner}) <= most) return {};
  return "wanted operands of at most 2^31 - 1 elements, got a product of " + std::to_string(g.batch) + " x (" + std::to_string(g.rows) +
         "," + std::to_string(g.inner) + ") (" + std::to_string(g.inner) + "," + std::to_string(g.columns) + ")";
}

inline ProductSizes product_sizes(const MatmulGeometry& g) {
  const auto rows = static_cast<int>(g.rows), inner = static_cast<int>(g.inner), columns = static_cast<int>(g.columns);
  ProductSizes s{static_cast<int>(g.batch), rows, inner, columns, {inner, 1, g.shared_a ? 0 : g.rows * g.inner}, {columns, 1, 0}};
  s.b.step = g.shared_b ? 0 : g.inner * g.columns;
  if (g.transpose_a) s.a.row = 1, s.a.column = rows;
  if (g.transpose_b) s.b.row = 1, s.b.column = inner;
  return s;
}

template <int splits, class Finish>
void launch_product_tile(Queue& queue, const char* kernel, const MatmulGeometry& g, const float* a, const float* b, const Finish& finish) {
  using Body = ProductTile<splits, Finish>;
  const Index row_tiles = ceil_div(g.rows, Body::tile), column_tiles = ceil_div(g.columns, Body::tile);
  launch(
      queue, kernel, {g.batch * row_tiles * column_tiles, product_threads, Body::shared_floats * static_cast<int>(sizeof(float))},
      Body{product_sizes(g), static_cast<int>(row_tiles), static_cast<int>(column_tiles), {a, a_elements(g)}, {b, b_elements(g)}, finish});
}

// The largest tiles of which there are enough to keep a device of about 100 to 150 multiprocessors busy.
template <class Finish>
void product_tiled(Queue& queue, const char* kernel, const MatmulGeometry& g, const float* a, const float* b, const Finish& finish) {
  want(queue, refuse_matmul(g));
  constexpr Index enough = 100;
  const auto tiles = [&](Index tile) { return g.batch * ceil_div(g.rows, tile) * ceil_div(g.columns, tile); };
  if (tiles(1) == 0) return;
  if (tiles(64) >= enough) launch_product_tile<1>(queue, kernel, g, a, b, finish);
  else if (tiles(32) >= enough) launch_product_tile<4>(queue, kernel, g, a, b, finish);
  else launch_product_tile<16>(queue, kernel, g, a, b, finish);
}

template <class Finish>
void product_warp(Queue& queue, const char* kernel, const MatmulGeometry& g, const float* a, const float* b, const Finish& finish) {
  want(queue, refuse_matmul(g));
  const ProductSizes s = product_sizes(g);
  if (s.outputs() > 0)
    launch(queue, kernel, grid_for(s.outputs() * warp_size),
           ProductLanes<warp_size, Finish>{s, {a, a_elements(g)}, {b, b_elements(g)}, finish});
}

inline StoreProduct store_to(const MatmulGeometry& g, float* c) { return {{c, g.batch * g.rows * g.columns}, {}, {}}; }

inline void matmul_plain(Queue& queue, const MatmulGeometry& g, const float* a, const float* b, float* c) {
  want(queue, refuse_matmul(g));
  const ProductSizes s = product_sizes(g);
  if (s.outputs() > 0)
    launch(queue, "matmul_plain", grid_for(s.outputs()),
           ProductLanes<1, StoreProduct>{s, {a, a_elements(g)}, {b, b_elements(g)}, store_to(g, c)});
}

inline void matmul_warp(Queue& queue, const MatmulGeometry& g, const float* a, const float* b, float* c) {
  product_warp(queue, "matmul_warp", g, a, b, store_to(g, c));
}

inline void matmul_tiled(Queue& queue, const MatmulGeometry& g, const float* a, const float* b, float* c) {
  product_tiled(queue, "matmul_tiled", g, a, b, store_to(g, c));
}

inline std::string takes_any_matmul(const MatmulGeometry& /*g*/) { return {}; }

inline void matmul_gemm(Queue& queue, const MatmulGeometry& g, const float* a, const float* b, float* c) {
  const Index outputs = g.batch * g.rows * g.columns;
  if (outputs == 0) return;
  if (g.inner == 0) return queue.fill(c, 0, outputs * size_of(DType::f32));
  Product product{.batch = g.batch, .rows = g.rows, .inner = g.inner, .columns = g.columns};
  product.transpose_a = g.transpose_a, product.transpose_b = g.transpose_b;
  // With b shared and the rows of a side by side the batch is one product.
  if (g.shared_b && !g.shared_a && !g.transpose_a) product.batch = 1, product.rows = g.batch * g.rows;
  product.a_pitch = g.transpose_a ? product.rows : g.inner, product.b_pitch = g.transpose_b ? g.inner : g.columns,
  product.c_pitch = g.columns;
  product.a_step = g.shared_a ? 0 : g.rows * g.inner, product.b_step = g.shared_b ? 0 : g.inner * g.columns,
  product.c_step = g.rows * g.columns;
  queue.gemm(product, 1.0f, a, b, 0.0f, c);
}

// y (rows,out) = x (rows,in) w (out,in)^T
inline MatmulGeometry linear_forward(const LinearSizes& sizes) {
  return {.rows = sizes.rows, .inner = sizes.in, .columns = sizes.out, .transpose_b = true};
}
// x (rows,in) = y (rows,out) w (out,in)
inline MatmulGeometry linear_data(const LinearSizes& sizes) { return {.rows = sizes.rows, .inner = sizes.out, .columns = sizes.in}; }
// w (out,in) = y (rows,out)^T x (rows,in)
inline MatmulGeometry linear_weight(const LinearSizes& sizes) {
  return {.rows = sizes.out, .inner = sizes.rows, .columns = sizes.in, .transpose_a = true};
}

inline std::string refuse_linear(const LinearSizes& sizes) { return refuse_matmul(linear_forward(sizes)); }
inline std::string refuse_linear_weight(const LinearSizes& sizes) { return refuse_matmul(linear_weight(sizes)); }

inline StoreProduct finish_linear(const LinearSizes& sizes, const LinearEpilogue& epilogue, float* y) {
  return {{y, sizes.rows * sizes.out}, {epilogue.bias, sizes.out}, {}, epilogue.relu};
}
inline StoreProduct finish_data(const LinearSizes& sizes, const float* gate, float* x) {
  return {{x, sizes.rows * sizes.in}, {}, {gate, sizes.rows * sizes.in}};
}

inline void linear_tiled(Queue& queue, const LinearSizes& sizes, const float* x, const float* w, const LinearEpilogue& epilogue, float* y) {
  product_tiled(queue, "linear_tiled", linear_forward(sizes), x, w, finish_linear(sizes, epilogue, y));
}
inline void linear_tiled_data(Queue& queue, const LinearSizes& sizes, const float* y, const float* w, const float* gate, float* x) {
  product_tiled(queue, "linear_tiled_data", linear_data(sizes), y, w, finish_data(sizes, gate, x));
}
inline void linear_warp(Queue& queue, const LinearSizes& sizes, const float* x, const float* w, const LinearEpilogue& epilogue, float* y) {
  product_warp(queue, "linear_warp", linear_forward(sizes), x, w, finish_linear(sizes, epilogue, y));
}
inline void linear_warp_data(Queue& queue, const LinearSizes& sizes, const float* y, const float* w, const float* gate, float* x) {
  product_warp(queue, "linear_warp_data", linear_data(sizes), y, w, finish_data(sizes, gate, x));
}

// A pass over a product that is in memory already.
struct FinishProduct {
  StoreProduct finish;
  Index count;
  int columns;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    for (Index i = thread.global(); i < count; i += thread.total()) finish(i, static_cast<int>(i) % columns, finish.c.load(i));
  }
};

inline void linear_gemm(Queue& queue, const LinearSizes& sizes, const float* x, const float* w, const LinearEpilogue& epilogue, float* y) {
  want(queue, refuse_linear(sizes));
  matmul_gemm(queue, linear_forward(sizes), x, w, y);
  const Index count = sizes.rows * sizes.out;
  if (count > 0 && (epilogue.bias != nullptr || epilogue.relu))
    launch(queue, "linear_finish", grid_for(count), FinishProduct{finish_linear(sizes, epilogue, y), count, static_cast<int>(sizes.out)});
}
inline void linear_gemm_data(Queue& queue, const LinearSizes& sizes, const float* y, const float* w, const float* gate, float* x) {
  want(queue, refuse_linear(sizes));
  matmul_gemm(queue, linear_data(sizes), y, w, x);
  const Index count = sizes.rows * sizes.in;
  if (count > 0)
    launch(queue, "linear_gate", grid_for(count), FinishProduct{finish_data(sizes, gate, x), count, static_cast<int>(sizes.in)});
}

inline void linear_weight_adam(Queue& queue, const LinearSizes& sizes, const AdamStep& step, const AdamTensor& w, const float* y,
                               const float* x) {
  const Index count = sizes.out * sizes.in;
  const UpdateByAdam update{{w.p, count},      {w.m, count},      {w.v, count}, {w.next_p, count},
                            {w.next_m, count}, {w.next_v, count}, {w.rate, 1},  adam_formula(queue, step)};
  product_tiled(queue, "linear_weight_adam", linear_weight(sizes), y, x, update);
}

inline MatmulFunctions matmul_functions() {
  return {.plain = {refuse_matmul, matmul_plain},
          .warp = {refuse_matmul, matmul_warp},
          .tiled = {refuse_matmul, matmul_tiled},
          .gemm = {takes_any_matmul, matmul_gemm},
          .linear_warp = {refuse_linear, linear_warp, linear_warp_data},
          .linear_tiled = {refuse_linear, linear_tiled, linear_tiled_data},
          .linear_gemm = {refuse_linear, linear_gemm, linear_gemm_data},
          .refuse_weight_adam = refuse_linear_weight,
          .weight_adam = linear_weight_adam};
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
