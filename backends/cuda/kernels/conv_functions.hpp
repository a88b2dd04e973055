// The table of the convolution kernels for the emulator; conv.cu has the device's, whose parts compile side by side.
#pragma once

#include <wengert/backends/cuda/kernels/conv_im2col.hpp>
#include <wengert/backends/cuda/kernels/conv_plain.hpp>
#include <wengert/backends/cuda/kernels/conv_pool.hpp>
#include <wengert/backends/cuda/kernels/conv_tiled.hpp>
#include <wengert/backends/cuda/kernels/conv_weight.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

inline ConvFunctions conv_functions() {
  ConvFunctions f;
  add_conv_plain(f);
  add_conv_im2col(f);
  add_conv_tiled(f);
  add_conv_pool(f);
  add_conv_weight(f);
  return f;
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
