// Rung 1 of moving elements: a box of elements copied between two strided arrays, under transpose, pad, slice and concatenate.
//   wengert bench op transpose --kernel naive
#pragma once

#include <array>

#include <wengert/engine/view.hpp>

namespace wengert::naive {

// Elements between neighbours along each axis.
using Strides = std::array<Index, Shape::max_rank>;

Strides row_major(const Shape& shape);

// One side of a copy: its array, and where in it the box starts.
struct BoxPlace {
  const View& array;
  Index first = 0;
  Strides strides = {};
};

// to[first + i . strides] = from[first + i . strides] for every index i of the box. One dtype; the two do not overlap.
void copy_box(const Shape& box, const BoxPlace& from, const BoxPlace& to);

}  // namespace wengert::naive
