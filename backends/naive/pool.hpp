// Rung 1 of pooling: plain loops over windows, and the gather and scatter along a row that max pooling differentiates into.
//   wengert bench op max_pool2d --kernel naive
#pragma once

#include <wengert/backends/geometry.hpp>
#include <wengert/engine/view.hpp>

namespace wengert::naive {

// x is (N,C,H,W), y (N,C,OH,OW), positions likewise, i32: h*W + w of the window's first maximum in row-major order. Padding
// counts as -infinity; the first NaN of a window wins. Every window holds at least one element of x (shape rules see to it).
void max_pool2d(const PoolGeometry& g, const View& x, const View& y, const View& positions);

// y = sum of the window / its elements; those in the padding are counted where count_padding says so.
void average_pool2d(const PoolGeometry& g, const View& x, const View& y);

// The adjoint of average_pool2d: y (N,C,OH,OW) -> x (N,C,H,W), overwritten.
void average_pool2d_data(const PoolGeometry& g, const View& y, const View& x);

// x (rows,S) is zeroed, then x[r, positions[r,j]] += y[r,j] with y and positions (rows,J); positions are i32 in [0,S). The
// views may have more axes: only their number of elements counts.
void put_along(Index rows, const View& y, const View& positions, const View& x);

// The adjoint: y[r,j] = x[r, positions[r,j]].
void take_along(Index rows, const View& x, const View& positions, const View& y);

}  // namespace wengert::naive
