// Matrix products and the fully connected layer's formula.
#pragma once

#include <vector>

#include <wengert/backends/geometry.hpp>
#include <wengert/engine/tape.hpp>

namespace wengert {

struct MatmulOptions {
  bool transpose_a = false;  // a is stored (..., K, M)
  bool transpose_b = false;  // b is stored (..., N, K)
};

// a (M,K) b (K,N) -> (M,N); or batched: a (B,M,K) b (B,K,N) -> (B,M,N), where either operand may also have rank 2 and is then
// shared by the batch. Throws Error where inner sizes or batches differ.
Var matmul(const At& a, const Var& b, const MatmulOptions& options = {});

// The fully connected layer: x (N,in), w (out,in), b (out) -> x w^T + b, (N,out). Composed of matmul and add.
Var linear(const At& x, const Var& w);
Var linear(const At& x, const Var& w, const Var& b);

struct MatmulAttributes {
  bool transpose_a = false, transpose_b = false;
  std::string describe() const;
};

// Sizes of a product from its operands' shapes, rank 2 or 3. Throws Error where they do not fit.
MatmulGeometry matmul_geometry(const MatmulAttributes& flags, const Shape& a, const Shape& b);

std::vector<Op> matmul_ops();

}  // namespace wengert
