// Average pooling, its adjoint, and the mean over whole planes.
#pragma once

#include <wengert/engine/tape.hpp>
#include <wengert/ops/pool_options.hpp>

namespace wengert {

// x (N,C,H,W) -> y (N,C,OH,OW): the mean of each window; padding is left out unless count_padding.
Var average_pool2d(const At& x, const Pool2dOptions& options);

// The adjoint: y (N,C,OH,OW) -> x (N,C,H,W), each share added where it came from.
Var average_pool2d_data(const At& y, const PoolGeometry& geometry);

// (N,C,H,W) -> (N,C): mean(x, {2, 3}).
Var global_average_pool2d(const At& x);

std::vector<Op> average_pool_ops();

}  // namespace wengert
