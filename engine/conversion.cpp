#include <wengert/engine/conversion.hpp>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>

namespace wengert {

void fail_to_convert(double value, DType dtype) { fail(fmt::format("wanted a value that {} holds, got {}", name(dtype), value)); }

void check_constant(double value, DType dtype) {
  if (is_float(dtype)) return;
  const auto whole = visit_any(dtype, [&](auto zero) { return static_cast<double>(converted<decltype(zero)>(value)); });
  if (whole != value) fail(fmt::format("wanted a whole number as {}, got {}", name(dtype), value));
}

}  // namespace wengert
