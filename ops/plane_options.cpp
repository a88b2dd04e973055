#include <wengert/ops/plane_options.hpp>

#include <algorithm>

namespace wengert {

Sides resolve_padding(Padding2d::Kind kind, Sides given, Index size, Index kernel, Index stride, Index dilation) {
  const Index reach = dilation * (kernel - 1);
  switch (kind) {
    case Padding2d::Kind::same: {
      const Index outputs = (size + stride - 1) / stride;
      const Index total = std::max<Index>(0, (outputs - 1) * stride + reach + 1 - size);
      return {total / 2, total - total / 2};
    }
    case Padding2d::Kind::full: return {reach, reach};
    case Padding2d::Kind::sides: return given;
    default: return {};
  }
}

}  // namespace wengert
