// Batch norm of training and its gradient on a CUDA device, f32. x is (N,C,...); a channel has m = N times the pixels elements, at least one.
#pragma once

#include <wengert/backends/cuda/queue.hpp>

namespace wengert::cuda {

// Sums are added in an order that depends on the sizes alone.
struct BatchNormFunctions {
  Index (*workspace)(const Shape& x_shape);  // bytes, of both
  // y = (x - mean) gamma / sqrt(variance + epsilon) + beta, with each channel's mean and (biased) variance (C).
  void (*batch_norm)(Queue& queue, double epsilon, const Shape& x_shape, const float* x, const float* gamma, const float* beta, float* y,
                     float* mean, float* variance, void* workspace);
  // From the mean and variance that it gave, with h = (x - mean) / sqrt(variance + epsilon): dbeta = sum dy, dgamma = sum dy h and
  // dx = gamma / sqrt(variance + epsilon) (dy - (dbeta + h dgamma) / m).
  void (*batch_norm_gradient)(Queue& queue, double epsilon, const Shape& x_shape, const float* x, const float* gamma, const float* mean,
                              const float* variance, const float* dy, float* dx, float* dgamma, float* dbeta, void* workspace);
};

BatchNormFunctions device_batch_norm_functions();

}  // namespace wengert::cuda
