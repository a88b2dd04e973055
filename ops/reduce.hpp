// Sums, means and maxima over axes. Axes are counted from 0, negative ones from the end; keep_dims leaves size 1 in their place.
#pragma once

#include <vector>

#include <wengert/ops/support.hpp>

namespace wengert {

Var sum(const At& x);  // of all elements, a scalar
Var sum(const At& x, const std::vector<int>& axes, bool keep_dims = false);

// sum(x) / count. Throws Error where there is nothing to take the mean of.
Var mean(const At& x);
Var mean(const At& x, const std::vector<int>& axes, bool keep_dims = false);

// The largest element over the axes, and where it stands: the row-major index (i32) within those axes. The first maximum
// counts, and gets the gradient; the first NaN counts as larger than any number. Throws Error where an axis is empty.
struct Maxima {
  Var value, position;
};
Maxima max_with_positions(const At& x, const std::vector<int>& axes, bool keep_dims = false);
Var max(const At& x);
Var max(const At& x, const std::vector<int>& axes, bool keep_dims = false);
Var argmax(const At& x, int axis);  // i32, without that axis

// Of the ops sum and max, which plans look into.
struct ReduceAttributes {
  AxisSet axes;
  bool keep_dims = false;
  std::string describe() const;
  Shape result(const Shape& x) const;
};

std::vector<Op> reduce_ops();

}  // namespace wengert
