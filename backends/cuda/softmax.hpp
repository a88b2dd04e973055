// Softmax over rows and what is built on it, on a CUDA device, f32. Logits are (rows, classes) with at least one class.
#pragma once

#include <wengert/backends/cuda/queue.hpp>

namespace wengert::cuda {

// Formulas are those of backends/naive/softmax.hpp: with l = the row's maximum and s = log sum exp(x - l), softmax is exp((x - l) - s). A label
// outside [0, classes) gives a loss of NaN and, of a gradient, a row of NaN.
struct SoftmaxFunctions {
  void (*softmax)(Queue& queue, Index rows, Index classes, const float* x, float* y);
  void (*log_softmax)(Queue& queue, Index rows, Index classes, const float* x, float* y);
  // losses (rows) = s - (x[label] - l), and the probabilities (rows, classes).
  void (*cross_entropy)(Queue& queue, Index rows, Index classes, const float* logits, const std::int32_t* labels, float* losses,
                        float* probabilities);
  // For labels that are a probability for each class, (rows, classes): losses = sum label (s - (x - l)), classes with label 0 left out.
  void (*soft_cross_entropy)(Queue& queue, Index rows, Index classes, const float* logits, const float* labels, float* losses,
                             float* probabilities);
  // losses as above, and gradient (rows, classes) = (softmax - one hot) dloss[row].
  void (*cross_entropy_gradient)(Queue& queue, Index rows, Index classes, const float* logits, const std::int32_t* labels,
                                 const float* dloss, float* losses, float* gradient);
};

SoftmaxFunctions device_softmax_functions();

}  // namespace wengert::cuda
