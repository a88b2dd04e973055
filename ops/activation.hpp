// Activations, elementwise: ReLU, tanh, sigmoid, and the gate that ReLU's gradient passes.
#pragma once

#include <wengert/engine/tape.hpp>

namespace wengert {

Var relu(const At& x);  // max(x, 0); NaN passes; the slope at 0 is 0
Var tanh(const At& x);
Var sigmoid(const At& x);  // 1 / (1 + exp(-x)), without overflow on either side

// c where y is positive or NaN, else 0; linear in c. Shapes are equal. The cotangent of y = relu(x) goes through it.
Var gate(const At& y, const Var& c);

std::vector<Op> activation_ops();

}  // namespace wengert
