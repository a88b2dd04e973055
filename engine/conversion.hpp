// Numbers from one element type to another without wrapping and without undefined behaviour.
#pragma once

#include <limits>

#include <wengert/engine/types.hpp>

namespace wengert {

[[noreturn]] void fail_to_convert(double value, DType dtype);

// static_cast, checked: floats to integers drop the fraction. Throws Error("wanted a value that u8 holds, got 300") for what lies
// outside an integer type, and for NaN.
template <class To, class From>
To converted(From value) {
  if constexpr (std::numeric_limits<To>::is_integer) {
    const auto number = static_cast<double>(value);
    const bool holds = number > static_cast<double>(std::numeric_limits<To>::min()) - 1 &&
                       number < static_cast<double>(std::numeric_limits<To>::max()) + 1;
    if (!holds) fail_to_convert(number, dtype_of<To>());
  }
  return static_cast<To>(value);
}

// For numbers that a program writes down, to fill a tensor with. Throws Error where an integer type does not hold it or it has a fraction.
void check_constant(double value, DType dtype);

}  // namespace wengert
