// Rung 1 of the matrix product: three plain loops, the reference. Sums run over `inner` in rising order whatever the flags.
//   wengert bench op matmul --kernel naive
#pragma once

#include <wengert/backends/geometry.hpp>
#include <wengert/engine/view.hpp>

namespace wengert::naive {

// c (batch,rows,columns) = a b as MatmulGeometry says, overwritten. The views' shapes are not looked at.
void matmul(const MatmulGeometry& g, const View& a, const View& b, const View& c);

}  // namespace wengert::naive
