// Rung 2 of the matrix product: one BLAS product a matrix of the batch.
//   wengert bench op matmul --kernel matrix
#pragma once

#include <wengert/backends/geometry.hpp>
#include <wengert/engine/view.hpp>

namespace wengert::blas {

// c (batch,rows,columns) = a b as MatmulGeometry says, overwritten. The views' shapes are not looked at. A matrix of the
// batch is computed alike wherever the batch is cut; rows of one matrix may differ in the last bits with the number of rows.
void matmul(const MatmulGeometry& g, const View& a, const View& b, const View& c);

}  // namespace wengert::blas
