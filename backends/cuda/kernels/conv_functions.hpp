// The table of the convolution kernels.
#pragma once

#include <wengert/backends/cuda/kernels/conv_im2col.hpp>
#include <wengert/backends/cuda/kernels/conv_plain.hpp>
#include <wengert/backends/cuda/kernels/conv_tiled.hpp>
#include <wengert/backends/cuda/kernels/conv_weight.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

inline ConvFunctions conv_functions() {
  return {.plain = conv_plain_rung(),
          .tiled = {{refuse_conv_tiled, no_workspace, conv_tiled},
                    {refuse_conv_tiled_data, no_workspace, conv_tiled_data},
                    {refuse_conv_tiled_weight, conv_weight_bytes, conv_tiled_weight}},
          .im2col = conv_im2col_rung(),
          .fused = {conv_fused, refuse_conv_pool, conv_fused_pool, conv_data_gate, conv_weight_bias},
          .behind_pool = {refuse_conv_behind_pool, conv_data_behind_pool, conv_weight_behind_pool}};
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
