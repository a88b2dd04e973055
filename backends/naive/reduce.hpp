// Rung 1 of reductions over axes that are not sums (those are in engine/strided.hpp): plain loops.
//   wengert bench op max --kernel naive
#pragma once

#include <wengert/engine/view.hpp>

namespace wengert::naive {

// value and position (i32) have x's shape without the reduced axes, or with size 1 there: only their number of elements counts.
// kept is x's shape with size 1 in the reduced axes, reduced with size 1 in the others. position is the row-major index within
// the reduced axes of the first maximum; the first NaN counts as larger than any number. No reduced axis is empty.
void max_over(const View& x, const Shape& kept, const Shape& reduced, const View& value, const View& position);

}  // namespace wengert::naive
