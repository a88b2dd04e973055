// Launches of the tiled convolution, whatever becomes of its sums.
#pragma once

#include <string>
#include <type_traits>

#include <wengert/backends/cuda/conv.hpp>
#include <wengert/backends/cuda/kernels/conv_finish.hpp>
#include <wengert/backends/cuda/kernels/conv_tile.hpp>
#include <wengert/backends/cuda/kernels/four.hpp>
#include <wengert/backends/cuda/refusal.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

template <int thread_rows, int least_filters, class Finish>
void launch_conv(Queue& queue, const char* kernel, const ConvPass& pass, const ConvTiling& tiling, const Planes& in,
                 const Global<const float>& w, const Finish& finish) {
  const auto run = [&](auto filters, auto width) {
    launch(queue, kernel, tiling.grid(pass.groups), ConvTile<filters(), thread_rows, width(), Finish>{pass, tiling, in, w, finish});
  };
  const auto run_width = [&](auto filters) {
    if (tiling.kernel_width == 5) run(filters, std::integral_constant<int, 5>());
    else if (tiling.kernel_width == 3) run(filters, std::integral_constant<int, 3>());
    else run(filters, std::integral_constant<int, 0>());
  };
  if constexpr (least_filters == 1) {
    if (tiling.thread_filters == 1) return run_width(std::integral_constant<int, 1>());
  }
  if (tiling.thread_filters == 8) run_width(std::integral_constant<int, 8>());
  else run_width(std::integral_constant<int, 4>());
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
