// Sizes of the structured operations, as kernels see them: everything resolved to plain integers.
#pragma once

#include <string>

#include <wengert/engine/types.hpp>

namespace wengert {

// The convolution triple T(x,w,y) = sum y[n,k,o] x[n,c,o*stride-pad+r*dilation] w[k,c,r] on
//   x (N, channels, height, width), w (filters, channels/groups, kernel_height, kernel_width), y (N, filters, out_height, out_width).
// The same geometry serves conv2d (x,w -> y), conv2d_data (y,w -> x) and conv2d_weight (x,y -> w); the roles keep their
// names in all three. The batch size N is not part of it: kernels take it from axis 0 of x or y.
struct ConvGeometry {
  Index channels = 1, height = 1, width = 1;
  Index filters = 1, kernel_height = 1, kernel_width = 1;
  Index out_height = 1, out_width = 1;
  Index stride_height = 1, stride_width = 1;
  Index dilation_height = 1, dilation_width = 1;
  Index pad_top = 0, pad_bottom = 0, pad_left = 0, pad_right = 0;
  Index groups = 1;

  Index group_channels() const { return channels / groups; }
  Index group_filters() const { return filters / groups; }
  // Multiply-adds times two, for a batch of n: the same count in all three directions.
  double flops(Index n) const {
    return 2.0 * static_cast<double>(n) * static_cast<double>(filters * out_height * out_width) *
           static_cast<double>(group_channels() * kernel_height * kernel_width);
  }
  bool operator==(const ConvGeometry&) const = default;
  std::string describe() const;  // "8x24x24 * 8x5x5 -> 8x20x20, stride 1x1, ..." for messages and listings
};

// Pooling over windows of planes: x (N, channels, height, width) -> y (N, channels, out_height, out_width).
struct PoolGeometry {
  Index channels = 1, height = 1, width = 1;
  Index window_height = 1, window_width = 1;
  Index out_height = 1, out_width = 1;
  Index stride_height = 1, stride_width = 1;
  Index pad_top = 0, pad_bottom = 0, pad_left = 0, pad_right = 0;
  bool count_padding = false;  // average pool only: divide by the whole window, padding included

  bool operator==(const PoolGeometry&) const = default;
  std::string describe() const;
};

// c (batch, rows, columns) = a (batch, rows, inner) b (batch, inner, columns); an operand may be stored transposed,
// and an operand of rank 2 is shared by the whole batch.
struct MatmulGeometry {
  Index batch = 1, rows = 1, inner = 1, columns = 1;
  bool transpose_a = false, transpose_b = false;
  bool shared_a = false, shared_b = false;
};

}  // namespace wengert
