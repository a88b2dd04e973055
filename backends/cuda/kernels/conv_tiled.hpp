// The tiled convolution, forward and data, with what is fused to it.
#pragma once

#include <algorithm>

#include <wengert/backends/cuda/kernels/conv_launch.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

inline void store_conv(Queue& queue, const char* kernel, const ConvPass& pass, const Planes& in, const Global<const float>& w,
                       ConvStore finish, const float* gate, float* out) {
  std::string refusal;
  const ConvTiling tiling = tile_conv(pass, 1, 1, refusal);
  want(queue, refusal);
  const GatherAxis& columns = pass.horizontal;
  finish.vector =
      tiling.pixel_step == 1 && columns.place_step == 1 && columns.places % thread_columns == 0 && aligned(out) && aligned(gate);
  launch_conv<1, 1>(queue, kernel, pass, tiling, in, w, finish);
}

inline void conv_fused(Queue& queue, const ConvGeometry& g, Index images, const float* x, const float* w, const ConvEpilogue& epilogue,
                       float* y) {
  want(queue, refuse_conv_sizes(g, images));
  const ConvElements count(g, images);
  if (count.y == 0) return;
  const ConvPass pass = forward_pass(g, images);
  store_conv(queue, "conv_tiled", pass, Planes{{x, count.x}, pass.vertical.in, pass.horizontal.in}, {w, count.w},
             {{y, count.y}, {epilogue.bias, g.filters}, {}, epilogue.relu}, nullptr, y);
}

inline void conv_tiled(Queue& queue, const ConvGeometry& g, Index images, const float* x, const float* w, float* y, void* /*workspace*/) {
  conv_fused(queue, g, images, x, w, {}, y);
}

// A launch for each of the pixels of x that meet other taps.
inline void conv_data_gate(Queue& queue, const ConvGeometry& g, Index images, const float* y, const float* w, const float* gate, float* x) {
  want(queue, refuse_conv_tiled_data(g, images));
  const ConvElements count(g, images);
  if (count.x == 0) return;
  const ConvSizes s = conv_sizes(g, images);
  const Planes planes{{y, count.y}, s.out_height, s.out_width};
  for (Index row = 0; row < std::min(g.stride_height, g.height); ++row)
    for (Index column = 0; column < std::min(g.stride_width, g.width); ++column)
      store_conv(queue, "conv_tiled_data", data_pass(g, images, row, column), planes, {w, count.w}, {{x, count.x}, {}, {gate, count.x}},
                 gate, x);
}

inline void conv_tiled_data(Queue& queue, const ConvGeometry& g, Index images, const float* y, const float* w, float* x,
                            void* /*workspace*/) {
  conv_data_gate(queue, g, images, y, w, nullptr, x);
}

inline void add_conv_tiled(ConvFunctions& f) {
  f.tiled.forward = {refuse_conv_tiled, no_workspace, conv_tiled};
  f.tiled.data = {refuse_conv_tiled_data, no_workspace, conv_tiled_data};
  f.fused.forward = conv_fused;
  f.fused.data_gate = conv_data_gate;
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
