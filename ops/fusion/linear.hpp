// Attributes of the fused linear layers.
#pragma once

#include <string>

namespace wengert {

// y (rows,out) = x (rows,in) w (out,in)^T, then as asked for.
struct LinearAttributes {
  bool bias = false, relu = false;
  std::string describe() const { return std::string(bias ? "bias" : "") + (relu ? " relu" : ""); }
};

}  // namespace wengert
