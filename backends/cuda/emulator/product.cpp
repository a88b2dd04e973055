#include <wengert/backends/cuda/emulator/product.hpp>

#include <algorithm>

#include <wengert/engine/error.hpp>

namespace wengert::cuda::emulated {
namespace {

// Of `batch` stored matrices. A step of 0 is for operands that all of the batch share.
Index extent(const std::string& who, const char* name, Index batch, Index rows, Index columns, Index pitch, Index step) {
  const std::string wanted = who + " gemm: wanted " + name + "'s ";
  if (pitch < std::max<Index>(1, columns)) {
    fail(wanted + "pitch to be at least " + std::to_string(std::max<Index>(1, columns)) + ", got " + std::to_string(pitch));
  }
  if (step < 0) fail(wanted + "step to be at least 0, got " + std::to_string(step));
  return batch == 0 || rows == 0 || columns == 0 ? 0 : (batch - 1) * step + (rows - 1) * pitch + columns;
}

}  // namespace

ProductExtents check_product(const Product& product, const std::string& who) {
  const Product& p = product;
  for (const Index size : {p.batch, p.rows, p.inner, p.columns}) {
    if (size < 0) fail(who + " gemm: wanted sizes of at least 0, got " + std::to_string(size));
  }
  const ProductExtents extents = {
      extent(who, "a", p.batch, p.transpose_a ? p.inner : p.rows, p.transpose_a ? p.rows : p.inner, p.a_pitch, p.a_step),
      extent(who, "b", p.batch, p.transpose_b ? p.columns : p.inner, p.transpose_b ? p.inner : p.columns, p.b_pitch, p.b_step),
      extent(who, "c", p.batch, p.rows, p.columns, p.c_pitch, p.c_step)};
  const Index matrix = extents.c - (p.batch - 1) * p.c_step;
  if (p.batch > 1 && extents.c > 0 && p.c_step < matrix) {
    fail(who + " gemm: wanted c's step to be at least " + std::to_string(matrix) + ", got " + std::to_string(p.c_step));
  }
  return extents;
}

void reference_product(const Product& product, float alpha, const float* a, const float* b, float beta, float* c) {
  const Product& p = product;
  const Index a_row = p.transpose_a ? 1 : p.a_pitch, a_column = p.transpose_a ? p.a_pitch : 1;
  const Index b_row = p.transpose_b ? 1 : p.b_pitch, b_column = p.transpose_b ? p.b_pitch : 1;
  for (Index m = 0; m < p.batch; ++m) {
    for (Index i = 0; i < p.rows; ++i) {
      for (Index j = 0; j < p.columns; ++j) {
        double sum = 0;
        for (Index k = 0; k < p.inner; ++k) {
          sum += static_cast<double>(a[m * p.a_step + i * a_row + k * a_column]) *
                 static_cast<double>(b[m * p.b_step + k * b_row + j * b_column]);
        }
        float& value = c[m * p.c_step + i * p.c_pitch + j];
        const double old = beta == 0.0f ? 0 : static_cast<double>(beta) * static_cast<double>(value);
        value = static_cast<float>(static_cast<double>(alpha) * sum + old);
      }
    }
  }
}

}  // namespace wengert::cuda::emulated
