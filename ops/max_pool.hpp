// Max pooling. Its gradient goes through the pair put_along, take_along (index.hpp).
#pragma once

#include <vector>

#include <wengert/engine/tape.hpp>
#include <wengert/ops/pool_options.hpp>

namespace wengert {

// x (N,C,H,W) -> y (N,C,OH,OW): the maximum of each window. Padding is -inf. The gradient goes to the first maximum in
// row-major order; NaN passes. {.window = 2} has stride 2.
Var max_pool2d(const At& x, const Pool2dOptions& options);

// y, and the position h*W+w in its plane of each maximum (i32).
struct MaxPool {
  Var y, positions;
};
MaxPool max_pool2d_with_positions(const At& x, const Pool2dOptions& options);

std::vector<Op> max_pool_ops();

}  // namespace wengert
