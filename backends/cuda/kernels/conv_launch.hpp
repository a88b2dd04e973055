// Launches of the tiled convolution, whatever it reads and whatever becomes of its sums.
#pragma once

#include <algorithm>
#include <string>
#include <type_traits>

#include <wengert/backends/cuda/conv.hpp>
#include <wengert/backends/cuda/kernels/conv_finish.hpp>
#include <wengert/backends/cuda/kernels/conv_tile.hpp>
#include <wengert/backends/cuda/kernels/four.hpp>
#include <wengert/backends/cuda/refusal.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

template <int thread_rows, int least_filters, class Source, class Finish>
void launch_conv(Queue& queue, const char* kernel, const ConvPass& pass, const ConvTiling& tiling, const Source& in,
                 const Global<const float>& w, const Finish& finish) {
  const auto run = [&](auto filters, auto width) {
    launch(queue, kernel, tiling.grid(pass.groups), ConvTile<filters(), thread_rows, width(), Source, Finish>{pass, tiling, in, w, finish});
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

template <int least_filters, class Source>
void store_conv(Queue& queue, const char* kernel, const ConvPass& pass, const Source& in, const Global<const float>& w, ConvStore finish,
                const float* gate, float* out) {
  std::string refusal;
  const ConvTiling tiling = tile_conv(pass, 1, least_filters, refusal);
  want(queue, refusal);
  const GatherAxis& columns = pass.horizontal;
  finish.vector =
      tiling.pixel_step == 1 && columns.place_step == 1 && columns.places % thread_columns == 0 && aligned(out) && aligned(gate);
  launch_conv<1, least_filters>(queue, kernel, pass, tiling, in, w, finish);
}

// A launch for each of the pixels of x that meet other taps.
template <int least_filters, class Source>
void store_conv_data(Queue& queue, const char* kernel, const ConvGeometry& g, Index images, const Source& y, const float* w,
                     const float* gate, float* x) {
  const ConvElements count(g, images);
  if (count.x == 0) return;
  for (Index row = 0; row < std::min(g.stride_height, g.height); ++row)
    for (Index column = 0; column < std::min(g.stride_width, g.width); ++column)
      store_conv<least_filters>(queue, kernel, data_pass(g, images, row, column), y, {w, count.w}, {{x, count.x}, {}, {gate, count.x}},
                                gate, x);
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
