// Rung 1 of the convolution on CUDA: one thread an output, as the report did it. Every thread reads global memory for each product, and the
// weight gradient has no more threads than there are weights.
#pragma once

#include <wengert/backends/cuda/conv.hpp>
#include <wengert/backends/cuda/conv_tiling.hpp>
#include <wengert/backends/cuda/refusal.hpp>
#include <wengert/backends/cuda/thread.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

struct ConvPlain {
  ConvSizes s;
  Global<const float> x, w;
  Global<float> y;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Index outputs = Index{s.images} * s.filters * s.out_height * s.out_width;
    for (Index i = thread.global(); i < outputs; i += thread.total()) {
      int rest = static_cast<int>(i);
      const int column = rest % s.out_width;
      rest /= s.out_width;
      const int row = rest % s.out_height;
      rest /= s.out_height;
      const int k = rest % s.filters, n = rest / s.filters;
      y.store(i, output(n, k, row * s.stride_height - s.pad_top, column * s.stride_width - s.pad_left));
    }
  }

  WENGERT_DEVICE float output(int n, int k, int top, int left) const {
    float sum = 0.0f;
    for (int c = 0; c < s.group_channels; ++c) {
      const int plane = (n * s.channels + k / s.group_filters * s.group_channels + c) * s.height;
      for (int r = 0; r < s.kernel_height; ++r) {
        const int h = top + r * s.dilation_height;
        if (h < 0 || h >= s.height) continue;
        const int taps = ((k * s.group_channels + c) * s.kernel_height + r) * s.kernel_width;
        for (int q = 0; q < s.kernel_width; ++q) {
          const int v = left + q * s.dilation_width;
          if (v >= 0 && v < s.width) sum += x.load((plane + h) * s.width + v) * w.load(taps + q);
        }
      }
    }
    return sum;
  }
};

// A gather: which outputs did this input reach, and through which taps?
struct ConvPlainData {
  ConvSizes s;
  Global<const float> y, w;
  Global<float> x;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Index inputs = Index{s.images} * s.channels * s.height * s.width;
    for (Index i = thread.global(); i < inputs; i += thread.total()) {
      int rest = static_cast<int>(i);
      const int column = rest % s.width;
      rest /= s.width;
      const int row = rest % s.height;
      rest /= s.height;
      x.store(i, input(rest / s.channels, rest % s.channels, row + s.pad_top, column + s.pad_left));
    }
  }

  WENGERT_DEVICE float input(int n, int c, int padded_row, int padded_column) const {
    const int first = c / s.group_channels * s.group_filters;
    float sum = 0.0f;
    for (int k = first; k < first + s.group_filters; ++k) {
      const int plane = (n * s.filters + k) * s.out_height;
      for (int r = 0; r < s.kernel_height; ++r) {
        const int down = padded_row - r * s.dilation_height, h = down / s.stride_height;
        if (down < 0 || down % s.stride_height != 0 || h >= s.out_height) continue;
        const int taps = ((k * s.group_channels + c % s.group_channels) * s.kernel_height + r) * s.kernel_width;
        for (int q = 0; q < s.kernel_width; ++q) {
          const int right = padded_column - q * s.dilation_width, v = right / s.stride_width;
          if (right >= 0 && right % s.stride_width == 0 && v < s.out_width) sum += y.load((plane + h) * s.out_width + v) * w.load(taps + q);
        }
      }
    }
    return sum;
  }
};

struct ConvPlainWeight {
  ConvSizes s;
  Global<const float> x, y;
  Global<float> w;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Index weights = Index{s.filters} * s.group_channels * s.kernel_height * s.kernel_width;
    for (Index i = thread.global(); i < weights; i += thread.total()) {
      int rest = static_cast<int>(i);
      const int q = rest % s.kernel_width;
      rest /= s.kernel_width;
      const int r = rest % s.kernel_height;
      rest /= s.kernel_height;
      w.store(i, weight(rest / s.group_channels, rest % s.group_channels, r * s.dilation_height - s.pad_top,
                        q * s.dilation_width - s.pad_left));
    }
  }

  WENGERT_DEVICE float weight(int k, int c, int top, int left) const {
    const int channel = k / s.group_filters * s.group_channels + c;
    float sum = 0.0f;
    for (int n = 0; n < s.images; ++n)
      for (int row = 0; row < s.out_height; ++row) {
        const int h = top + row * s.stride_height;
        if (h < 0 || h >= s.height) continue;
        const int x_row = ((n * s.channels + channel) * s.height + h) * s.width;
        const int y_row = ((n * s.filters + k) * s.out_height + row) * s.out_width;
        for (int column = 0; column < s.out_width; ++column) {
          const int v = left + column * s.stride_width;
          if (v >= 0 && v < s.width) sum += x.load(x_row + v) * y.load(y_row + column);
        }
      }
    return sum;
  }
};

inline void conv_plain(Queue& queue, const ConvGeometry& g, Index images, const float* x, const float* w, float* y, void* /*workspace*/) {
  want(queue, refuse_conv_sizes(g, images));
  const ConvElements count(g, images);
  if (count.y > 0)
    launch(queue, "conv_plain", grid_for(count.y), ConvPlain{conv_sizes(g, images), {x, count.x}, {w, count.w}, {y, count.y}});
}

inline void conv_plain_data(Queue& queue, const ConvGeometry& g, Index images, const float* y, const float* w, float* x,
                            void* /*workspace*/) {
  want(queue, refuse_conv_sizes(g, images));
  const ConvElements count(g, images);
  if (count.x > 0)
    launch(queue, "conv_plain_data", grid_for(count.x), ConvPlainData{conv_sizes(g, images), {y, count.y}, {w, count.w}, {x, count.x}});
}

inline void conv_plain_weight(Queue& queue, const ConvGeometry& g, Index images, const float* x, const float* y, float* w,
                              void* /*workspace*/) {
  want(queue, refuse_conv_sizes(g, images));
  const ConvElements count(g, images);
  launch(queue, "conv_plain_weight", grid_for(count.w, 64),
         ConvPlainWeight{conv_sizes(g, images), {x, count.x}, {y, count.y}, {w, count.w}});
}

inline void add_conv_plain(ConvFunctions& f) {
  f.plain = {{refuse_conv_sizes, no_workspace, conv_plain},
             {refuse_conv_sizes, no_workspace, conv_plain_data},
             {refuse_conv_sizes, no_workspace, conv_plain_weight}};
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
