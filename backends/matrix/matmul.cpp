#include <wengert/backends/matrix/matmul.hpp>

#include <wengert/backends/blas.hpp>

namespace wengert::blas {

void matmul(const MatmulGeometry& g, const View& a, const View& b, const View& c) {
  const Product product{.rows = g.rows, .inner = g.inner, .columns = g.columns, .transpose_a = g.transpose_a, .transpose_b = g.transpose_b};
  const SingleThread blas;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (Index n = 0; n < g.batch; ++n)
      blas.gemm(product, T{1}, a.read<T>() + (g.shared_a ? 0 : n * g.rows * g.inner),
                b.read<T>() + (g.shared_b ? 0 : n * g.inner * g.columns), T{0}, c.write<T>() + n * g.rows * g.columns);
  });
}

}  // namespace wengert::blas
