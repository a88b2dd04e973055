// Rung 1 of reading and adding at integer positions: plain loops. take_along and put_along stand in pool.hpp.
//   wengert bench op gather --kernel naive
#pragma once

#include <wengert/engine/view.hpp>

namespace wengert::naive {

// Throws Error("wanted indices in [0, count), got ...") unless every i32 element lies there. The message counts positions from
// `first`, that of element 0 in the whole batch.
void check_indices(const View& indices, Index count, Index first = 0);

// x (A..., n, B...), indices (I...), y (A..., I..., B...): y[a,i,b] = x[a, indices[i], b] with n at `axis`. Any dtype. The
// indices are in range.
void gather(int axis, const View& x, const View& indices, const View& y);

// The adjoint: x is zeroed, then x[a, indices[i], b] += y[a,i,b], in the order of i.
void scatter_add(int axis, const View& y, const View& indices, const View& x);

// classes (...), y (..., count): 1 at the class, else 0. The classes are in range.
void one_hot(const View& classes, const View& y);

}  // namespace wengert::naive
