// Optimiser updates as ops: Adam (Kingma and Ba 2015, algorithm 1) and SGD with momentum and weight decay.
#pragma once

#include <vector>

#include <wengert/engine/tape.hpp>

namespace wengert {

struct AdamAttributes {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0.0;  // decoupled: rate * weight_decay * p is taken off (Loshchilov and Hutter 2019)
  std::string describe() const;
};
struct AdamResult {
  Var parameter, first, second;  // the next p, m, v
};
// One step. p, m, v and gradient have one shape; rate, correction1 = 1 - beta1^t and correction2 = 1 - beta2^t are scalars of
// the run, of p's dtype:
//   m' = beta1 m + (1-beta1) g,  v' = beta2 v + (1-beta2) g^2,  p' = p - rate (m'/correction1) / (sqrt(v'/correction2) + epsilon).
// A constant to gradients.
AdamResult adam(const At& p, const Var& m, const Var& v, const Var& gradient, const Var& rate, const Var& correction1,
                const Var& correction2, const AdamAttributes& attributes);

struct SgdAttributes {
  double momentum = 0.0;
  double weight_decay = 0.0;  // of the L2 form: weight_decay p is added to the gradient
  std::string describe() const;
};
struct SgdResult {
  Var parameter, velocity;
};
// velocity' = momentum velocity + g,  p' = p - rate velocity'. A constant to gradients.
SgdResult sgd(const At& p, const Var& velocity, const Var& gradient, const Var& rate, const SgdAttributes& attributes);

std::vector<Op> optimiser_ops();

}  // namespace wengert
