// The report's figures worked by hand, and the gradients that its text derives: each test states the formula and compares.
#include <cmath>

#include <doctest/doctest.h>

#include <wengert/engine/context.hpp>
#include <wengert/engine/gradients.hpp>
#include <wengert/ops/catalogue.hpp>

using namespace wengert;

namespace {

std::vector<double> list(const Var& v) {
  const Tensor value = v.value();
  std::vector<double> result;
  for (Index i = 0; i < value.elements(); ++i) result.push_back(value.at(i));
  return result;
}

Tensor planes(const std::vector<double>& values, const Shape& shape) { return Tensor::copy(values.data(), shape); }

// 1 .. 16 as one 4x4 picture, and a filter whose taps are all different.
Tensor picture() { return planes({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, {1, 1, 4, 4}); }
Tensor filter() { return planes({1, 0, 0, 0, 2, 0, 0, 0, -1}, {1, 1, 3, 3}); }

GradientOptions cotangent(const Var& c) { return {.cotangents = {c}}; }

}  // namespace

TEST_CASE("convolution of 4x4 with 3x3: valid gives 2x2") {
  for (const char* kernel : {"naive", "matrix", "im2col"}) {
    const CallChoice choice{.kernel = kernel};
    Tape tape;
    const Var y = conv2d(At(tape.variable(picture())).with(choice), tape.variable(filter()));
    CHECK(y.shape() == Shape{1, 1, 2, 2});
    // y = x[i,j] + 2 x[i+1,j+1] - x[i+2,j+2]
    CHECK(list(y) == std::vector<double>{1 + 12 - 11, 2 + 14 - 12, 5 + 20 - 15, 6 + 22 - 16});
  }
}

TEST_CASE("same padding keeps 4x4, full padding gives 6x6") {
  Tape tape;
  const Var x = tape.variable(picture()), w = tape.variable(filter());
  const Var same = conv2d(x, w, {.padding = Padding2d::same()});
  CHECK(same.shape() == x.shape());
  const std::vector<double> sums = {2 - 6,   4 - 7,       6 - 8,       8,      10 - 10, 1 + 12 - 11, 2 + 14 - 12, 3 + 16,
                                    18 - 14, 5 + 20 - 15, 6 + 22 - 16, 7 + 24, 26,      9 + 28,      10 + 30,     11 + 32};
  CHECK(list(same) == sums);
  const Var full = conv2d(x, w, {.padding = Padding2d::full()});
  CHECK(full.shape() == Shape{1, 1, 6, 6});
  CHECK(list(full)[0] == -1);
  CHECK(list(full)[35] == 16);
}

TEST_CASE("max pool 2 on 4x4, forward and backward: the gradient goes to the maximum's place") {
  Tape tape;
  const Var x = tape.variable(planes({1, 5, 2, 0, 3, 4, 7, 6, 9, 8, 0, 1, 2, 2, 3, 3}, {1, 1, 4, 4}));
  const Var y = max_pool2d(x, {.window = 2});
  CHECK(list(y) == std::vector<double>{5, 7, 9, 3});  // of two equal threes the first counts
  const Var dy = tape.constant(planes({10, 20, 30, 40}, {1, 1, 2, 2}));
  CHECK(list(gradients(y, {x}, cotangent(dy))[0]) == std::vector<double>{0, 10, 0, 0, 0, 0, 20, 0, 30, 0, 0, 0, 0, 0, 40, 0});
}

TEST_CASE("convolution's gradients: X 3x3 with dO 2x2, and the flipped filter fully convolved with dO") {
  Tape tape;
  const Var x = tape.variable(planes({1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 1, 3, 3}));
  const Var w = tape.variable(planes({1, 2, 3, 4}, {1, 1, 2, 2}));
  const Var d = tape.constant(planes({1, -1, 2, 3}, {1, 1, 2, 2}));
  const auto grads = gradients(conv2d(x, w), {x, w}, cotangent(d));
  const Var by_text_w = conv2d(x, d);  // dL/dW: convolve X with dL/dO
  CHECK(list(grads[1]) == list(by_text_w));
  CHECK(list(grads[1]) == std::vector<double>{1 - 2 + 8 + 15, 2 - 3 + 10 + 18, 4 - 5 + 14 + 24, 5 - 6 + 16 + 27});
  const Var flipped = tape.constant(planes({4, 3, 2, 1}, {1, 1, 2, 2}));
  const Var by_text_x = conv2d(d, flipped, {.padding = Padding2d::full()});  // dL/dX: flip by 180 degrees, full convolution
  CHECK(list(grads[0]) == list(by_text_x));
  CHECK(list(grads[0]) == std::vector<double>{1, 1, -2, 5, 8, 2, 6, 17, 12});
}

TEST_CASE("bias gradient is the sum of dO over images and places") {
  Tape tape;
  const Var b = tape.variable(planes({0.5, -1}, {2}));
  const Var y = reshape(b, {1, 2, 1, 1}) + tape.constant(Tensor::zeros({3, 2, 2, 2}, DType::f64));
  const Var d = tape.constant(Tensor::full({3, 2, 2, 2}, 1.5, DType::f64));
  CHECK(list(gradients(y, {b}, cotangent(d))[0]) == std::vector<double>{18, 18});
}

TEST_CASE("ReLU passes the gradient where its input was positive") {
  Tape tape;
  const Var x = tape.variable({-1.0, 0.0, 2.0});
  CHECK(list(gradients(relu(x), {x}, cotangent(tape.constant({5.0, 6.0, 7.0})))[0]) == std::vector<double>{0, 0, 7});
}

TEST_CASE("fully connected f2 = W f1 + b: dW = df2 f1^T, db = df2, df1 = W^T df2") {
  Tape tape;
  const Var f1 = tape.variable({{1.0, 2.0, 3.0}}), w = tape.variable({{1.0, 0.0, -1.0}, {2.0, 1.0, 0.5}}), b = tape.variable({0.5, -0.5});
  const Var f2 = linear(f1, w, b);
  CHECK(list(f2) == std::vector<double>{1 - 3 + 0.5, 2 + 2 + 1.5 - 0.5});
  const auto [df1, dw, db] = gradients<3>(f2, {f1, w, b}, cotangent(tape.constant({{10.0, 100.0}})));
  CHECK(list(dw) == std::vector<double>{10, 20, 30, 100, 200, 300});
  CHECK(list(db) == std::vector<double>{10, 100});
  CHECK(list(df1) == std::vector<double>{10 + 200, 100, -10 + 50});
}

TEST_CASE("softmax with cross-entropy: dL/do = p - y, and stable for logits of +-1e4") {
  Tape tape;
  const Var o = tape.variable({{1.0, 2.0, 3.0}, {0.0, 0.0, 0.0}});
  const Var label = tape.constant({2, 0});
  const Var loss = sum(softmax_cross_entropy(o, label));
  const Var p_minus_y = softmax(o) - one_hot(label, 3, DType::f64);
  const auto got = list(gradients(loss, {o})[0]), wanted = list(p_minus_y);
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == doctest::Approx(wanted[i]).epsilon(1e-14));
  CHECK(loss.item() == doctest::Approx(std::log(1 + std::exp(-1.0) + std::exp(-2.0)) + std::log(3.0)).epsilon(1e-14));

  const Var huge = tape.variable({{1e4, -1e4}, {-1e4, 1e4}});
  const Var losses = softmax_cross_entropy(huge, tape.constant({0, 0}));
  CHECK(list(losses) == std::vector<double>{0, 2e4});
  CHECK(list(gradients(sum(losses), {huge})[0]) == std::vector<double>{0, 0, -1, 1});
}
