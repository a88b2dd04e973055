// Rung 3 of the convolution on CUDA: the patches of an image as a matrix (channels and taps) x (pixels) in the workspace, so that the vendor's
// product of matrices does the rest; images in chunks that keep the workspace bounded. The data gradient gathers from such a matrix, tap by tap.
// Chellapilla, Puri, Simard 2006, inria-00112631.
#pragma once

#include <algorithm>
#include <limits>

#include <wengert/backends/cuda/conv.hpp>
#include <wengert/backends/cuda/conv_tiling.hpp>
#include <wengert/backends/cuda/kernels/sum_parts.hpp>
#include <wengert/backends/cuda/refusal.hpp>
#include <wengert/backends/cuda/thread.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

// A thread writes what all taps of a channel meet at an output: neighbouring threads write neighbouring elements.
struct Im2col {
  ConvSizes s;  // with the images of a chunk
  Global<const float> x;
  Global<float> matrix;  // (images, channels, taps, pixels)

  WENGERT_DEVICE void operator()(Thread& thread) const {
    const int pixels = s.out_height * s.out_width;
    const Index all = Index{s.images} * s.channels * pixels;
    for (Index i = thread.global(); i < all; i += thread.total()) {
      const int plane = static_cast<int>(i) / pixels, pixel = static_cast<int>(i) % pixels;
      const int top = pixel / s.out_width * s.stride_height - s.pad_top, left = pixel % s.out_width * s.stride_width - s.pad_left;
      Index place = Index{plane} * s.kernel_height * s.kernel_width * pixels + pixel;
      for (int r = 0; r < s.kernel_height; ++r) {
        const int h = top + r * s.dilation_height, row = (plane * s.height + h) * s.width;
        for (int q = 0; q < s.kernel_width; ++q, place += pixels) {
          const int v = left + q * s.dilation_width;
          matrix.store(place, h >= 0 && h < s.height && v >= 0 && v < s.width ? x.load(row + v) : 0.0f);
        }
      }
    }
  }
};

// The other way: an input is the sum of what its taps hold, in the order of the taps.
struct Col2im {
  ConvSizes s;
  Global<const float> matrix;
  Global<float> x;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Index all = Index{s.images} * s.channels * s.height * s.width;
    for (Index i = thread.global(); i < all; i += thread.total()) {
      const int rest = static_cast<int>(i) / s.width;
      x.store(i, input(rest / s.height, rest % s.height + s.pad_top, static_cast<int>(i) % s.width + s.pad_left));
    }
  }

  WENGERT_DEVICE float input(int plane, int padded_row, int padded_column) const {
    const int pixels = s.out_height * s.out_width;
    float sum = 0.0f;
    for (int r = 0; r < s.kernel_height; ++r) {
      const int down = padded_row - r * s.dilation_height, row = down / s.stride_height;
      if (down < 0 || down % s.stride_height != 0 || row >= s.out_height) continue;
      const Index taps = (Index{plane} * s.kernel_height + r) * s.kernel_width;
      for (int q = 0; q < s.kernel_width; ++q) {
        const int right = padded_column - q * s.dilation_width, column = right / s.stride_width;
        if (right >= 0 && right % s.stride_width == 0 && column < s.out_width)
          sum += matrix.load((taps + q) * pixels + row * s.out_width + column);
      }
    }
    return sum;
  }
};

// How the images are cut, and what a chunk needs.
struct Im2colChunks {
  static constexpr Index most_floats = Index{1} << 23;  // 32 MiB of matrix, which the cache of a large device holds

  // `kept_floats`: what else an image needs.
  Im2colChunks(const ConvGeometry& geometry, Index all_images, Index kept_floats = 0)
      : g(geometry),
        all(all_images),
        pixels(g.out_height * g.out_width),
        columns(g.group_channels() * g.kernel_height * g.kernel_width),
        in_place(g.kernel_height == 1 && g.kernel_width == 1 && g.stride_height == 1 && g.stride_width == 1 && g.pad_top == 0 &&
                 g.pad_bottom == 0 && g.pad_left == 0 && g.pad_right == 0),
        images(std::clamp<Index>(most_floats / std::max<Index>(image_floats() + kept_floats, 1), 1, std::max<Index>(all, 1))) {}

  Index image_floats() const { return g.groups * columns * pixels; }
  Index matrix_floats() const { return in_place || all == 0 ? 0 : images * image_floats(); }
  // Products of a group's filters with a chunk's patches.
  Product forward(Index chunk) const {
    return {.batch = chunk,
            .rows = g.group_filters(),
            .inner = columns,
            .columns = pixels,
            .a_pitch = columns,
            .b_pitch = pixels,
            .c_pitch = pixels,
            .a_step = 0,
            .b_step = image_floats(),
            .c_step = g.filters * pixels};
  }
  Product data(Index chunk) const {
    return {.batch = chunk,
            .rows = columns,
            .inner = g.group_filters(),
            .columns = pixels,
            .transpose_a = true,
            .a_pitch = columns,
            .b_pitch = pixels,
            .c_pitch = pixels,
            .a_step = 0,
            .b_step = g.filters * pixels,
            .c_step = image_floats()};
  }
  Product weight(Index chunk) const {
    return {.batch = chunk,
            .rows = g.group_filters(),
            .inner = pixels,
            .columns = columns,
            .transpose_b = true,
            .a_pitch = pixels,
            .b_pitch = pixels,
            .c_pitch = columns,
            .a_step = g.filters * pixels,
            .b_step = image_floats(),
            .c_step = g.filters * columns};
  }

  ConvGeometry g;
  Index all, pixels, columns;  // of a group's matrix
  bool in_place;               // x is that matrix
  Index images;                // of a chunk
};

inline std::string refuse_conv_im2col(const ConvGeometry& g, Index images) {
  std::string refusal = refuse_conv_sizes(g, images);
  if (refusal.empty() && g.channels * g.out_height * g.out_width > std::numeric_limits<int>::max())
    refusal = "wanted at most 2^31 - 1 patches of an image's channels, got " + g.describe();
  return refusal;
}

inline Index conv_im2col_bytes(const ConvGeometry& g, Index images) {
  return Im2colChunks(g, images).matrix_floats() * size_of(DType::f32);
}

// Those of the weight gradient, which keeps the product of each image.
inline Im2colChunks weight_chunks(const ConvGeometry& g, Index images) {
  return {g, images, g.filters * g.group_channels() * g.kernel_height * g.kernel_width};
}

inline Index conv_im2col_weight_bytes(const ConvGeometry& g, Index images) {
  const Im2colChunks chunks = weight_chunks(g, images);
  const Index products = images == 0 ? 0 : chunks.images * g.filters * chunks.columns;
  return (chunks.matrix_floats() + products) * size_of(DType::f32);
}

inline const float* unroll(Queue& queue, const Im2colChunks& chunks, Index images, const float* x, float* matrix) {
  if (chunks.in_place) return x;
  const ConvGeometry& g = chunks.g;
  launch(queue, "im2col", grid_for(images * g.channels * chunks.pixels),
         Im2col{conv_sizes(g, images), {x, ConvElements(g, images).x}, {matrix, images * chunks.image_floats()}});
  return matrix;
}

inline void conv_im2col(Queue& queue, const ConvGeometry& g, Index images, const float* x, const float* w, float* y, void* workspace) {
  want(queue, refuse_conv_im2col(g, images));
  const Im2colChunks chunks(g, images);
  const ConvElements one(g, 1);
  if (chunks.pixels == 0) return;
  for (Index n = 0; n < images; n += chunks.images) {
    const Index chunk = std::min(chunks.images, images - n);
    const float* const matrix = unroll(queue, chunks, chunk, x + n * one.x, static_cast<float*>(workspace));
    for (Index group = 0; group < g.groups; ++group)
      queue.gemm(chunks.forward(chunk), 1.0f, w + group * g.group_filters() * chunks.columns,
                 matrix + group * chunks.columns * chunks.pixels, 0.0f, y + n * one.y + group * g.group_filters() * chunks.pixels);
  }
}

inline void conv_im2col_data(Queue& queue, const ConvGeometry& g, Index images, const float* y, const float* w, float* x, void* workspace) {
  want(queue, refuse_conv_im2col(g, images));
  const Im2colChunks chunks(g, images);
  const ConvElements one(g, 1);
  if (one.x == 0) return;
  for (Index n = 0; n < images; n += chunks.images) {
    const Index chunk = std::min(chunks.images, images - n);
    float* const matrix = chunks.in_place ? x + n * one.x : static_cast<float*>(workspace);
    for (Index group = 0; group < g.groups && chunks.pixels > 0; ++group)
      queue.gemm(chunks.data(chunk), 1.0f, w + group * g.group_filters() * chunks.columns,
                 y + n * one.y + group * g.group_filters() * chunks.pixels, 0.0f, matrix + group * chunks.columns * chunks.pixels);
    if (!chunks.in_place)
      launch(queue, "col2im", grid_for(chunk * one.x),
             Col2im{conv_sizes(g, chunk), {matrix, chunk * chunks.image_floats()}, {x + n * one.x, chunk * one.x}});
  }
}

inline void conv_im2col_weight(Queue& queue, const ConvGeometry& g, Index images, const float* x, const float* y, float* w,
                               void* workspace) {
  want(queue, refuse_conv_im2col(g, images));
  const Im2colChunks chunks = weight_chunks(g, images);
  const ConvElements one(g, 1);
  if (images == 0 || chunks.pixels == 0) return queue.fill(w, 0, one.w * size_of(DType::f32));
  float* const products = static_cast<float*>(workspace);
  for (Index n = 0; n < images; n += chunks.images) {
    const Index chunk = std::min(chunks.images, images - n);
    const float* const matrix = unroll(queue, chunks, chunk, x + n * one.x, products + chunks.images * one.w);
    for (Index group = 0; group < g.groups; ++group)
      queue.gemm(chunks.weight(chunk), 1.0f, y + n * one.y + group * g.group_filters() * chunks.pixels,
                 matrix + group * chunks.columns * chunks.pixels, 0.0f, products + group * g.group_filters() * chunks.columns);
    sum_parts(queue, chunk, one.w, products, one.w, w, 0, nullptr, n > 0);
  }
}

inline void add_conv_im2col(ConvFunctions& f) {
  f.im2col = {{refuse_conv_im2col, conv_im2col_bytes, conv_im2col},
              {refuse_conv_im2col, conv_im2col_bytes, conv_im2col_data},
              {refuse_conv_im2col, conv_im2col_weight_bytes, conv_im2col_weight}};
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
