// Reading and adding at integer positions (i32). Positions outside their range are an Error. Two adjoint pairs, and one-hot.
#pragma once

#include <string>

#include <wengert/engine/tape.hpp>

namespace wengert {

// x (A..., n, B...), indices (I...) -> y (A..., I..., B...): y[a,i,b] = x[a, indices[i], b], with n at `axis` (negative: from
// the end). x may have any dtype.
Var gather(const At& x, const Var& indices, int axis);

// Its adjoint, y (A..., I..., B...) -> x (A..., size, B...): x[a, indices[i], b] += y[a,i,b].
Var scatter_add(const At& y, const Var& indices, int axis, Index size);

// classes (...) -> (..., count): 1 at the class, else 0. A constant to gradients.
Var one_hot(const At& classes, Index count, DType dtype = DType::f32);

// x and positions have their first `leading` axes in common (rows r); the rest of x counts as one axis, likewise the rest of
// positions: y[r,j] = x[r, positions[r,j]], y of positions' shape.
Var take_along(const At& x, const Var& positions, int leading);

// Its adjoint, y -> x of that shape: x[r, positions[r,j]] += y[r,j].
Var put_along(const At& y, const Var& positions, int leading, const Shape& shape);

struct GatherAttributes {
  int axis = 0;
  Index size = 0;  // of that axis in x; scatter_add only
  std::string describe() const;
};

struct OneHotAttributes {
  Index count = 0;
  DType dtype = DType::f32;
  std::string describe() const;
};

struct AlongAttributes {
  int leading = 0;
  Shape shape = {};  // of x; put_along only
  std::string describe() const;
};

std::vector<Op> index_ops();

}  // namespace wengert
