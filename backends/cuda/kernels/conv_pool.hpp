// The tiled convolution with a max pool, in one launch.
#pragma once

#include <wengert/backends/cuda/kernels/conv_launch.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

inline void conv_fused_pool(Queue& queue, const ConvGeometry& g, const PoolGeometry& pool, Index images, const float* x, const float* w,
                            const ConvEpilogue& epilogue, float* y, std::int32_t* positions) {
  want(queue, refuse_conv_pool(g, pool, images));
  const ConvElements count(g, images);
  const Index pooled = images * g.filters * pool.out_height * pool.out_width;
  if (pooled == 0) return;
  const ConvPass pass = pooled_pass(g, pool, images);
  const ConvMaxPool finish{{y, pooled},
                           {positions, pooled},
                           {epilogue.bias, g.filters},
                           epilogue.relu,
                           static_cast<int>(pool.window_height),
                           static_cast<int>(pool.window_width),
                           static_cast<int>(pool.out_height),
                           static_cast<int>(pool.out_width)};
  std::string refusal;
  const ConvTiling tiling = tile_conv(pass, 2, 4, refusal);
  launch_conv<2, 4>(queue, "conv_pool", pass, tiling, Planes{{x, count.x}, pass.vertical.in, pass.horizontal.in}, {w, count.w}, finish);
}

inline void add_conv_pool(ConvFunctions& f) {
  f.fused.refuse_pool = refuse_conv_pool;
  f.fused.forward_pool = conv_fused_pool;
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
