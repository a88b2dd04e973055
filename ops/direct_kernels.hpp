// How ops take the direct kernels of backends/direct: one adapter a family, with its layouts, for eager calls and for plans.
#pragma once

#include <optional>
#include <string>

#include <wengert/backends/direct/elementwise.hpp>
#include <wengert/backends/direct/matmul.hpp>
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
// Forward and data, where it is faster than the direct kernel.
Kernel winograd_conv_kernel(ConvRole role, FusedConv (*read)(const Attributes&));

// A function of each element of inputs of one shape, whatever the layout; `elements` counts padding lanes too. `keeps_zero`: zeros give zero.
using ElementwiseRun = std::function<void(const KernelCall& call, Index elements)>;
Kernel direct_elementwise_kernel(ElementwiseRun run, bool keeps_zero);
Kernel direct_unary_kernel(direct::Unary f);
Kernel direct_binary_kernel(direct::Binary f, bool swapped = false);  // swapped: f(b, a)
Kernel direct_add_kernel();                                           // also with one value a channel

// Pooling in the layout in which the input lies.
using DirectPool = void (*)(const KernelCall& call, Layout layout);
void direct_max_pool(const KernelCall& call, Layout layout);
void direct_average_pool(const KernelCall& call, Layout layout);
void direct_average_pool_data(const KernelCall& call, Layout layout);
Kernel direct_pool_kernel(DirectPool run, std::size_t outputs = 1);

// Batch norm, x, gamma, beta -> y, mean, variance; or its gradient, x, gamma, mean, variance, dy -> dx, dgamma, dbeta (both (C)). The channels are
// cut in slices for several workers.
Kernel direct_batch_norm_kernel(bool gradient);

// Why a product of so many rows with so large a matrix is left to OpenBLAS, or empty. Measured with 2048 x 2048 (Zen 3): 32 rows of y = x w^T
// took the direct kernel 1.4 times, of x = y w 1.7 times OpenBLAS's time, but 1 row a quarter and 4 rows 0.7 of it; up to 512 x 512 the direct
// kernels were faster.
std::string slower_than_blas(Index rows, Index elements);

direct::AdamStep direct_adam_step(const Attributes& attributes, float rate, float correction1, float correction2);
Kernel direct_adam_kernel();
Kernel direct_sgd_kernel();

}  // namespace wengert
