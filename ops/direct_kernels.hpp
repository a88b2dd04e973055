// How ops take the direct kernels of backends/direct: one adapter a family, with its layouts, for eager calls and for plans.
#pragma once

#include <optional>

#include <wengert/backends/direct/elementwise.hpp>
#include <wengert/backends/geometry.hpp>
#include <wengert/engine/op.hpp>

namespace wengert {

// A convolution with what a plan may fuse to it. Forward: inputs x, w [, bias], outputs y [, positions]. Data: y, w [, gate] -> x.
// Weight: x, y -> w [, bias (1,K,1,1)].
struct FusedConv {
  ConvGeometry geometry = {};
  bool bias = false, relu = false, gate = false;
  std::optional<PoolGeometry> pool = {};
  std::string describe() const;
};

enum class ConvRole : std::uint8_t { forward, data, weight };
// `read` takes the FusedConv from the op's own attributes.
Kernel direct_conv_kernel(ConvRole role, FusedConv (*read)(const Attributes&));

// A function of each element of inputs of one shape, whatever the layout; `elements` counts padding lanes too. `keeps_zero`: zeros give zero.
using ElementwiseRun = std::function<void(const KernelCall& call, Index elements)>;
Kernel direct_elementwise_kernel(ElementwiseRun run, bool keeps_zero);
Kernel direct_unary_kernel(direct::Unary f);
Kernel direct_binary_kernel(direct::Binary f, bool swapped = false);  // swapped: f(b, a)
Kernel direct_add_kernel();                                           // also with one value a channel

}  // namespace wengert
