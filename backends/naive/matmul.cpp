#include <wengert/backends/naive/matmul.hpp>

#include <algorithm>

namespace wengert::naive {
namespace {

// One row of c: a[a_first + k*a_step] is a(i,k).
template <class T>
void row_of_product(const MatmulGeometry& g, const T* a, Index a_first, Index a_step, const T* b, T* c_row) {
  if (g.transpose_b) {
    for (Index j = 0; j < g.columns; ++j) {
      T sum = 0;
      for (Index k = 0; k < g.inner; ++k) sum += a[a_first + k * a_step] * b[j * g.inner + k];
      c_row[j] = sum;
    }
    return;
  }
  std::fill_n(c_row, g.columns, T{0});
  for (Index k = 0; k < g.inner; ++k) {
    const T factor = a[a_first + k * a_step];
    const T* const b_row = b + k * g.columns;
    for (Index j = 0; j < g.columns; ++j) c_row[j] += factor * b_row[j];
  }
}

}  // namespace

void matmul(const MatmulGeometry& g, const View& a, const View& b, const View& c) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Index row_step = g.transpose_a ? 1 : g.inner, inner_step = g.transpose_a ? g.rows : 1;
    for (Index n = 0; n < g.batch; ++n) {
      const T* const a_matrix = a.read<T>() + (g.shared_a ? 0 : n * g.rows * g.inner);
      const T* const b_matrix = b.read<T>() + (g.shared_b ? 0 : n * g.inner * g.columns);
      T* const c_matrix = c.write<T>() + n * g.rows * g.columns;
      for (Index i = 0; i < g.rows; ++i) row_of_product(g, a_matrix, i * row_step, inner_step, b_matrix, c_matrix + i * g.columns);
    }
  });
}

}  // namespace wengert::naive
