// The tiled convolution, forward and data, with what is fused to it.
#pragma once

#include <wengert/backends/cuda/kernels/conv_launch.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

inline void conv_fused(Queue& queue, const ConvGeometry& g, Index images, const float* x, const float* w, const ConvEpilogue& epilogue,
                       float* y) {
  want(queue, refuse_conv_sizes(g, images));
  const ConvElements count(g, images);
  if (count.y == 0) return;
  const ConvPass pass = forward_pass(g, images);
  store_conv<1>(queue, "conv_tiled", pass, Planes{{x, count.x}, pass.vertical.in, pass.horizontal.in}, {w, count.w},
                {{y, count.y}, {epilogue.bias, g.filters}, {}, epilogue.relu}, nullptr, y);
}

inline void conv_tiled(Queue& queue, const ConvGeometry& g, Index images, const float* x, const float* w, float* y, void* /*workspace*/) {
  conv_fused(queue, g, images, x, w, {}, y);
}

inline void conv_data_gate(Queue& queue, const ConvGeometry& g, Index images, const float* y, const float* w, const float* gate, float* x) {
  want(queue, refuse_conv_tiled_data(g, images));
  const ConvSizes s = conv_sizes(g, images);
  const Planes planes{{y, ConvElements(g, images).y}, s.out_height, s.out_width};
  store_conv_data<1>(queue, "conv_tiled_data", g, images, planes, w, gate, x);
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
