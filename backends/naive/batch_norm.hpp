// Rung 1 of batch normalisation: plain loops, mean and variance in two passes over each channel.
//   wengert bench op batch_norm --kernel naive
#pragma once

#include <wengert/engine/view.hpp>

namespace wengert::naive {

// x (N,C,...), gamma and beta (C) -> y of x's shape, mean and biased variance (C):
// y = gamma (x - mean) / sqrt(variance + epsilon) + beta. Every channel has at least one element.
void batch_norm(double epsilon, const View& x, const View& gamma, const View& beta, const View& y, const View& mean, const View& variance);

}  // namespace wengert::naive
