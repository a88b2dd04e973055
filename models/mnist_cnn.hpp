// The report's network for 28x28 grey digits: 105,496 parameters, 105,634 with the biases of the linear layers.
#pragma once

#include <wengert/models/layers.hpp>

namespace wengert {

struct MnistCnn {
  explicit MnistCnn(bool linear_biases = false)
      : fc1("fc1", {.in = 800, .out = 128, .bias = linear_biases}), fc2("fc2", {.in = 128, .out = 10, .bias = linear_biases}) {}

  Conv2d conv1{"conv1", {.in = 1, .out = 8, .size = 5}};
  Conv2d conv2{"conv2", {.in = 8, .out = 8, .size = 5}};
  Linear fc1, fc2;

  Var operator()(Var x) const {                     // x is (N,1,28,28)
    x = relu(conv1(x));                             // (N,8,24,24)
    x = max_pool2d(relu(conv2(x)), {.window = 2});  // (N,8,10,10)
    return fc2(relu(fc1(flatten(x))));              // (N,10)
  }
};

}  // namespace wengert
