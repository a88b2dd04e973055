// Batch norm: each channel is cut into at most 32 slices, a block each. The launches for the mean, the variance and the result follow each
// other; each adds the slices' sums of the one before by itself. Memory sets the speed.
#pragma once

#include <algorithm>
#include <cmath>

#include <wengert/backends/cuda/batch_norm.hpp>
#include <wengert/backends/cuda/kernels/axes.hpp>
#include <wengert/backends/cuda/kernels/join.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

// Slice s of channel c is elements [s slice, (s + 1) slice) of the channel, images in order.
struct Channels {
  Index channels = 0, count = 0;  // elements a channel
  Index slices = 1, slice = 0;
  Divisor pixels;

  WENGERT_DEVICE Index end(Index s) const { return (s + 1) * slice < count ? (s + 1) * slice : count; }
  // Where element j of channel c lies.
  WENGERT_DEVICE Index place(Index c, Index j) const {
    std::uint32_t image = static_cast<std::uint32_t>(j);
    const std::uint32_t pixel = pixels.split(image);
    return (image * channels + c) * pixels.value() + pixel;
  }
  // body(where an element lies) for this thread's elements of the slice.
  template <class Body>
  WENGERT_DEVICE void each(const Thread& thread, Index c, Index s, const Body& body) const {
    for (Index j = s * slice + thread.index(); j < end(s); j += thread.size()) body(place(c, j));
  }
  // The sum of a channel from those of its slices; for every thread.
  WENGERT_DEVICE float total(const Thread& thread, const Global<const float>& sums, Index c) const {
    return join_warp<Sum>(thread, thread.lane() < slices ? sums.load(c * slices + thread.lane()) : 0.0f);
  }
};

// The sum of x over a slice, or, given those sums, of the squares of x - mean.
struct SliceSums {
  Channels of;
  Global<const float> x;
  Global<const float> sums_before;
  Global<float> sums;  // (channels, slices)

  WENGERT_DEVICE void operator()(Thread& thread) const {
    for (Index i = thread.block(); i < of.channels * of.slices; i += thread.blocks()) {
      const Index c = i / of.slices, s = i % of.slices;
      float sum = 0;
      if (sums_before.given()) {
        const float mean = of.total(thread, sums_before, c) / static_cast<float>(of.count);
        of.each(thread, c, s, [&](Index at) {
          const float centred = x.load(at) - mean;
          sum += centred * centred;
        });
      } else {
        of.each(thread, c, s, [&](Index at) { sum += x.load(at); });
      }
      sum = join_lanes<Sum>(thread, sum, thread.size(), 0);
      if (thread.index() == 0) sums.store(i, sum);
    }
  }
};

struct Normalise {
  Channels of;
  Global<const float> x, gamma, beta, sums, squares;
  Global<float> y, mean, variance;
  float epsilon = 0;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    for (Index i = thread.block(); i < of.channels * of.slices; i += thread.blocks()) {
      const Index c = i / of.slices, s = i % of.slices;
      const float count = static_cast<float>(of.count), centre = of.total(thread, sums, c) / count,
                  spread = of.total(thread, squares, c) / count;
      const float scale = gamma.load(c) / std::sqrt(spread + epsilon), shift = beta.load(c);
      of.each(thread, c, s, [&](Index at) { y.store(at, (x.load(at) - centre) * scale + shift); });
      if (s == 0 && thread.index() == 0) {
        mean.store(c, centre);
        variance.store(c, spread);
      }
    }
  }
};

// The sums of dy and of dy (x - mean) over a slice.
struct SliceGradients {
  Channels of;
  Global<const float> x, mean, dy;
  Global<float> betas, gammas;  // (channels, slices)

  WENGERT_DEVICE void operator()(Thread& thread) const {
    for (Index i = thread.block(); i < of.channels * of.slices; i += thread.blocks()) {
      const Index c = i / of.slices, s = i % of.slices;
      const float centre = mean.load(c);
      float beta = 0, gamma = 0;
      of.each(thread, c, s, [&](Index at) {
        const float d = dy.load(at);
        beta += d;
        gamma += d * (x.load(at) - centre);
      });
      beta = join_lanes<Sum>(thread, beta, thread.size(), 0);
      gamma = join_lanes<Sum>(thread, gamma, thread.size(), 0);
      if (thread.index() == 0) betas.store(i, beta), gammas.store(i, gamma);
    }
  }
};

struct BatchNormData {
  Channels of;
  Global<const float> x, gamma, mean, variance, dy, betas, gammas;
  Global<float> dx, dgamma, dbeta;
  float epsilon = 0;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    for (Index i = thread.block(); i < of.channels * of.slices; i += thread.blocks()) {
      const Index c = i / of.slices, s = i % of.slices;
      const float centre = mean.load(c), r = 1.0f / std::sqrt(variance.load(c) + epsilon), factor = gamma.load(c) * r;
      const float beta = of.total(thread, betas, c), scaled = of.total(thread, gammas, c) * r;
      const float share = 1.0f / static_cast<float>(of.count);
      of.each(thread, c, s, [&](Index at) { dx.store(at, factor * (dy.load(at) - share * (beta + (x.load(at) - centre) * r * scaled))); });
      if (s == 0 && thread.index() == 0) {
        dbeta.store(c, beta);
        dgamma.store(c, scaled);
      }
    }
  }
};

// ---- Launching.

inline Channels channels_of(const Shape& x) {
  constexpr Index least_slice = 2048;
  Channels of;
  const Index pixels = x.elements(2, x.rank());
  of.channels = x[1];
  of.count = x[0] * pixels;
  of.slices = std::clamp<Index>(of.count / least_slice, 1, warp_size);
  of.slice = ceil_div(of.count, of.slices);
  if (pixels > 0) of.pixels = Divisor(pixels);
  return of;
}

inline Grid grid_of(const Channels& of) {
  constexpr int threads = 256;
  Grid grid = grid_for(of.channels * of.slices * threads, threads);
  grid.shared_bytes = join_bytes;
  return grid;
}

inline Index batch_norm_workspace(const Shape& x_shape) {
  const Channels of = channels_of(x_shape);
  return 2 * of.channels * of.slices * static_cast<Index>(sizeof(float));
}

inline void batch_norm(Queue& queue, double epsilon, const Shape& x_shape, const float* x, const float* gamma, const float* beta, float* y,
                       float* mean, float* variance, void* workspace) {
  const Index elements = x_shape.elements();
  want_elements(queue, elements);
  if (elements == 0) return;
  const Channels of = channels_of(x_shape);
  const Index parts = of.channels * of.slices;
  float *const sums = static_cast<float*>(workspace), *const squares = sums + parts;
  const Global<const float> in{x, elements};
  launch(queue, "batch_norm_sums", grid_of(of), SliceSums{of, in, {}, {sums, parts}});
  launch(queue, "batch_norm_squares", grid_of(of), SliceSums{of, in, {sums, parts}, {squares, parts}});
  launch(queue, "batch_norm", grid_of(of),
         Normalise{of,
                   in,
                   {gamma, of.channels},
                   {beta, of.channels},
                   {sums, parts},
                   {squares, parts},
                   {y, elements},
                   {mean, of.channels},
                   {variance, of.channels},
                   static_cast<float>(epsilon)});
}

inline void batch_norm_gradient(Queue& queue, double epsilon, const Shape& x_shape, const float* x, const float* gamma, const float* mean,
                                const float* variance, const float* dy, float* dx, float* dgamma, float* dbeta, void* workspace) {
  const Index elements = x_shape.elements();
  want_elements(queue, elements);
  if (elements == 0) return;
  const Channels of = channels_of(x_shape);
  const Index parts = of.channels * of.slices;
  float *const betas = static_cast<float*>(workspace), *const gammas = betas + parts;
  const auto channels = [&of](const float* values) { return Global<const float>(values, of.channels); };
  const Global<const float> in{x, elements}, cotangent{dy, elements};
  launch(queue, "batch_norm_gradient_sums", grid_of(of),
         SliceGradients{of, in, channels(mean), cotangent, {betas, parts}, {gammas, parts}});
  launch(queue, "batch_norm_gradient", grid_of(of),
         BatchNormData{of,
                       in,
                       channels(gamma),
                       channels(mean),
                       channels(variance),
                       cotangent,
                       {betas, parts},
                       {gammas, parts},
                       {dx, elements},
                       {dgamma, of.channels},
                       {dbeta, of.channels},
                       static_cast<float>(epsilon)});
}

inline BatchNormFunctions batch_norm_functions() { return {batch_norm_workspace, batch_norm, batch_norm_gradient}; }

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
