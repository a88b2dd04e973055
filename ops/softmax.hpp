// Softmax, log-softmax and softmax cross-entropy over the last axis; stable for logits of any finite size.
#pragma once

#include <vector>

#include <wengert/engine/tape.hpp>

namespace wengert {

Var softmax(const At& x);      // exp(x_i) / sum_j exp(x_j)
Var log_softmax(const At& x);  // x_i - log sum_j exp(x_j)

// The loss of each image, (N): logits (N,C) and labels as classes i32 (N), or as probabilities (N,C) of the logits' dtype.
// loss = -sum_i y_i log p_i; its gradient by the logits is p - y for labels that sum to 1. Throws Error for a class outside [0, C).
Var softmax_cross_entropy(const At& logits, const Var& labels);

std::vector<Op> softmax_ops();

}  // namespace wengert
