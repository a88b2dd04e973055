// Batch normalisation: Ioffe and Szegedy 2015, algorithm 1 (training) and algorithm 2 line 11 (inference).
#pragma once

#include <wengert/engine/tape.hpp>

namespace wengert {

// x (N,C,...); mean and variance (C) are of this batch, the variance biased (divided by the count).
struct BatchNormResult {
  Var y, mean, variance;
};

// y = gamma (x - mean) / sqrt(variance + epsilon) + beta for each channel, gamma and beta (C). Gradients pass through mean and
// variance too. Throws Error where a channel has no element.
BatchNormResult batch_norm(const At& x, const Var& gamma, const Var& beta, double epsilon = 1e-5);

// The same formula with mean and variance (C) as given: running statistics.
Var batch_norm_inference(const At& x, const Var& gamma, const Var& beta, const Var& mean, const Var& variance, double epsilon = 1e-5);

std::vector<Op> batch_norm_ops();

struct BatchNormAttributes {
  double epsilon = 1e-5;
  std::string describe() const;
};

}  // namespace wengert
