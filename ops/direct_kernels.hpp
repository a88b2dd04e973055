// How ops take the direct kernels of backends/direct: one adapter a family, with its layouts, for eager calls and for plans.
#pragma once

#include <optional>

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

// A function of each element, whatever the layout; `broadcast` takes over where the shapes of two inputs differ.
Kernel direct_elementwise_kernel(void (*run)(const KernelCall& call, Index elements), bool keeps_zero);

}  // namespace wengert
