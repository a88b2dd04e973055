// The operands of a convolution kernel, as pointers to what they hold.
#pragma once

#include <wengert/engine/view.hpp>

namespace wengert {

// body(batch, a, b, out) with pointers of a's floating dtype: two roles to read, the first of which has the batch on axis 0, and one to write.
template <class Body>
void with_operands(const View& a, const View& b, const View& out, const Body& body) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    body(a.shape[0], a.read<T>(), b.read<T>(), out.write<T>());
  });
}

}  // namespace wengert
