// Arithmetic, activations and reductions on cases worked by hand: values, gradients, ties, NaN, broadcasting and messages.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include <wengert/ops/activation.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/reduce.hpp>

#include "ops_support.hpp"

namespace wg = wengert;
using wg::Tape, wg::Tensor, wg::Var, wg::DType, wg::Shape;
using wg::test::contains, wg::test::message_of, wg::test::values, wg::test::List, wg::test::pulled_back, wg::test::counting;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

}  // namespace

TEST_CASE("arithmetic: operators, precedence, and numbers that take the Var's dtype") {
  Tape tape;
  const Var x = tape.variable(Tensor{1.0f, 2.0f, 4.0f}), y = tape.variable(Tensor{3.0f, 5.0f, 8.0f});
  CHECK(values(x + y * x) == List{4, 12, 36});
  CHECK(values((x + y) * x) == List{4, 14, 48});
  CHECK(values(x - y / x - y) == List{-5, -5.5, -6});
  CHECK(values(-x * y) == List{-3, -10, -32});
  CHECK(values(2 * x + 1) == List{3, 5, 9});
  CHECK(values(1.0 - x * 0.5) == List{0.5, 0, -1});
  CHECK(values(x - 1 + (3 + x)) == List{4, 6, 10});
  CHECK(values(8.0 / x - x / 2.0) == List{7.5, 3, 0});
  CHECK((2.5 * x / 3.0).dtype() == DType::f32);
  CHECK((1.0 / x).dtype() == DType::f32);
  CHECK((x / 3.0).value().at(0) == static_cast<double>(1.0f / 3.0f));  // one rounding, in f32
  CHECK(std::signbit((-tape.constant(Tensor{0.0})).value().at(0)));
}

TEST_CASE("arithmetic: division by numbers whose reciprocal is no normal f32") {
  Tape tape;
  const Var x = tape.variable(Tensor{2e38f});
  CHECK((x / 2e38).value().at(0) == 1.0);
  CHECK((1e38 / x).value().at(0) == doctest::Approx(0.5));
}

TEST_CASE("arithmetic: broadcasting and its gradients") {
  Tape tape;
  const Var a = tape.variable(Tensor{{1.0, 2.0, 3.0}, {4.0, 5.0, 6.0}}), b = tape.variable(Tensor{10.0, 20.0, 30.0});
  const Var y = a * b;
  CHECK(values(y) == List{10, 40, 90, 40, 100, 180});
  const auto [da, db] = wg::gradients<2>(sum(y), {a, b});
  CHECK(values(da) == List{10, 20, 30, 10, 20, 30});
  CHECK(values(db) == List{5, 7, 9});
  const auto [ea, eb] = wg::gradients<2>(sum(b / a), {a, b});
  CHECK(values(ea)[0] == doctest::Approx(-10));
  CHECK(values(eb)[0] == doctest::Approx(1.25));
  CHECK(values(wg::gradients<1>(sum(a - b), {b})[0]) == List{-2, -2, -2});
}

TEST_CASE("arithmetic: power, exp, log, sqrt and their gradients") {
  Tape tape;
  const Var x = tape.variable(Tensor{1.0, 4.0});
  CHECK(values(power(x, 3)) == List{1, 64});
  CHECK(values(power(x, -1)) == List{1, 0.25});
  CHECK(values(power(x, 0.5)) == List{1, 2});
  CHECK(values(power(x, 0)) == List{1, 1});
  CHECK(values(wg::gradients<1>(sum(power(x, 3)), {x})[0]) == List{3, 48});
  CHECK(values(wg::gradients<1>(sum(sqrt(x)), {x})[0]) == List{0.5, 0.25});
  CHECK(values(wg::gradients<1>(sum(log(x)), {x})[0]) == List{1, 0.25});
  CHECK(values(wg::gradients<1>(sum(exp(x)), {x})[0])[1] == doctest::Approx(std::exp(4.0)));
  const Var zero = tape.variable(Tensor{0.0});
  for (const double exponent : {0.0, 2.0, 3.0}) CHECK(values(wg::gradients<1>(sum(power(zero, exponent)), {zero})[0]) == List{0});
  CHECK(values(wg::gradients<1>(sum(power(zero, 1)), {zero})[0]) == List{1});
}

TEST_CASE("arithmetic: derivatives of x tanh(x) to the third order") {
  Tape tape;
  const double at = 0.7, t = std::tanh(at), s = 1 - t * t;
  const Var x = tape.variable(Tensor::scalar(at, DType::f64));
  const Var y = x * tanh(x);
  const Var first = wg::gradients<1>(y, {x})[0], second = wg::gradients<1>(first, {x})[0], third = wg::gradients<1>(second, {x})[0];
  CHECK(first.item() == doctest::Approx(t + at * s));
  CHECK(second.item() == doctest::Approx(2 * s - 2 * at * t * s));
  CHECK(third.item() == doctest::Approx(-6 * t * s + at * (4 * t * t * s - 2 * s * s)));
}

TEST_CASE("arithmetic: maximum gives a tie to a, and NaN passes") {
  Tape tape;
  const Var a = tape.variable(Tensor{1.0, 2.0, 3.0}), b = tape.variable(Tensor{2.0, 2.0, 2.0});
  const auto [da, db] = wg::gradients<2>(sum(maximum(a, b)), {a, b});
  CHECK(values(maximum(a, b)) == List{2, 2, 3});
  CHECK(values(da) == List{0, 1, 1});
  CHECK(values(db) == List{1, 0, 0});
  const Var with_nan = tape.constant(Tensor{not_a_number, 1.0, -infinity}), other = tape.constant(Tensor{0.0, not_a_number, -infinity});
  const List larger = values(maximum(with_nan, other));
  CHECK(std::isnan(larger[0]));
  CHECK(std::isnan(larger[1]));
  CHECK(larger[2] == -infinity);
  CHECK(values(greater_equal(a, b)) == List{0, 1, 1});
}

TEST_CASE("arithmetic: messages name the op, the place and both sides") {
  Tape tape;
  const Var x = tape.variable(Tensor{1.0, 2.0, 3.0}, "x"), y = tape.variable(Tensor{1.0, 2.0}, "y"), f = tape.variable(Tensor{1.0f}, "f");
  const int line = __LINE__ + 1;
  const std::string shapes = message_of([&] { return x * y; });
  CHECK(contains(shapes, "[multiply "));
  CHECK(contains(shapes, "ops_test.cpp:" + std::to_string(line) + "]"));
  CHECK(contains(shapes, "wanted shapes that broadcast together, got (3) and (2)"));
  CHECK(contains(shapes, "f64 (3) from 'x'"));
  CHECK(contains(message_of([&] { return x - f; }), "wanted inputs of one dtype"));
  CHECK(contains(message_of([&] { return tanh(tape.constant(Tensor{1, 2})); }), "wanted f32 or f64"));
  CHECK(contains(message_of([&] { return gate(x, y); }), "wanted y and c of one shape, got (3) and (2)"));
}

TEST_CASE("activation: ReLU, its slope 0 at 0, NaN and infinities, second order") {
  Tape tape;
  const Var x = tape.variable(Tensor{-2.0, 0.0, 3.0, infinity, -infinity});
  CHECK(values(relu(x)) == List{0, 0, 3, infinity, 0});
  CHECK(values(wg::gradients<1>(sum(relu(x)), {x})[0]) == List{0, 0, 1, 1, 0});
  CHECK(pulled_back(relu(x), x, Tensor{infinity, not_a_number, 2.0, 1.0, not_a_number}) ==
        List{0, 0, 2, 1, 0});  // a closed gate lets nothing through
  CHECK(std::isnan(values(relu(tape.constant(Tensor{not_a_number})))[0]));
  const Var z = tape.variable(Tensor{-1.0, 2.0});
  const Var slope = wg::gradients<1>(sum(relu(z) * relu(z) * relu(z)), {z})[0];
  CHECK(values(wg::gradients<1>(sum(slope), {z})[0]) == List{0, 12});
}

TEST_CASE("activation: sigmoid and tanh stay finite far out") {
  Tape tape;
  const Var x = tape.variable(Tensor{-1000.0f, 0.0f, 1000.0f});
  CHECK(values(sigmoid(x)) == List{0, 0.5, 1});
  CHECK(values(tanh(x)) == List{-1, 0, 1});
  CHECK(values(wg::gradients<1>(sum(sigmoid(x)), {x})[0]) == List{0, 0.25, 0});
  CHECK(values(wg::gradients<1>(sum(tanh(x)), {x})[0]) == List{0, 1, 0});
  CHECK(std::isnan(values(sigmoid(tape.constant(Tensor{not_a_number})))[0]));
}

TEST_CASE("reduce: sums and means over axes") {
  Tape tape;
  const Var x = tape.variable(counting(Shape{2, 3, 2}));
  CHECK(sum(x).item() == 66);
  CHECK(sum(x).shape() == Shape{});
  CHECK(values(sum(x, {0, 2})) == List{14, 22, 30});
  CHECK(values(sum(x, {-1})) == List{1, 5, 9, 13, 17, 21});
  CHECK(sum(x, {1}, true).shape() == Shape{2, 1, 2});
  CHECK(values(sum(x, {1})) == List{6, 9, 24, 27});
  CHECK(values(sum(x, {})) == values(x));
  CHECK(mean(x).item() == 5.5);
  CHECK(values(mean(x, {0, 2})) == List{3.5, 5.5, 7.5});
  CHECK(pulled_back(sum(x, {0, 2}), x, Tensor{1.0, 2.0, 3.0}) == List{1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3});
  CHECK(pulled_back(mean(x, {1}, true), x, Tensor::full(Shape{2, 1, 2}, 3.0, DType::f64)) == List(12, 1.0));
}

TEST_CASE("reduce: a sum over images is the same however the batch is cut") {
  Tape tape;
  const Tensor numbers = counting(Shape{37, 5});
  const Var whole = sum(tape.constant(numbers), {0}), cut = sum(tape.batch(numbers), {0});
  CHECK(values(whole) == values(cut));
  CHECK_FALSE(cut.batched());
  CHECK(sum(tape.batch(numbers), {1}).batched());
  CHECK(values(sum(tape.batch(Tensor::zeros(Shape{0, 2}, DType::f64)), {0})) == List{0, 0});
}

TEST_CASE("reduce: max gives the gradient to the first maximum in row-major order") {
  Tape tape;
  const Var x = tape.variable(Tensor{{1.0, 5.0, 5.0}, {7.0, 2.0, 7.0}});
  const wg::Maxima rows = max_with_positions(x, {1});
  CHECK(values(rows.value) == List{5, 7});
  CHECK(values(rows.position) == List{1, 0});
  CHECK(rows.position.dtype() == DType::i32);
  CHECK(pulled_back(rows.value, x, Tensor{10.0, 20.0}) == List{0, 10, 0, 20, 0, 0});
  CHECK(values(max(x, {0}, true)) == List{7, 5, 7});
  CHECK(pulled_back(max(x, {0}), x, Tensor{1.0, 2.0, 3.0}) == List{0, 2, 0, 1, 0, 3});
  CHECK(max(x).item() == 7);
  CHECK(values(wg::gradients<1>(max(x), {x})[0]) == List{0, 0, 0, 1, 0, 0});
  CHECK(values(argmax(x, -1)) == List{1, 0});
  const Var columns = tape.variable(counting(Shape{2, 2, 3}));  // reduced axes around a kept one: positions are within (0,2)
  CHECK(values(max_with_positions(columns, {0, 2}).position) == List{5, 5});
}

TEST_CASE("reduce: max takes NaN for the largest, the first of them, and lives with infinities") {
  Tape tape;
  const Var x = tape.variable(Tensor{{1.0, not_a_number, 3.0, not_a_number}, {-infinity, -infinity, -infinity, -infinity}});
  const wg::Maxima rows = max_with_positions(x, {1});
  CHECK(std::isnan(values(rows.value)[0]));
  CHECK(values(rows.value)[1] == -infinity);
  CHECK(values(rows.position) == List{1, 0});
}

TEST_CASE("reduce: messages") {
  Tape tape;
  const Var x = tape.variable(counting(Shape{2, 3})), none = tape.variable(Tensor::zeros(Shape{2, 0}));
  CHECK(contains(message_of([&] { return sum(x, {2}); }), "wanted an axis in [-2, 2), got 2"));
  CHECK(contains(message_of([&] { return sum(x, {1, -1}); }), "wanted each axis once, got axis 1 twice in {1,-1}"));
  CHECK(contains(message_of([&] { return max(none, {1}); }), "wanted at least one element to take the maximum of"));
  CHECK(contains(message_of([&] { return mean(none); }), "[mean "));
  CHECK(contains(message_of([&] { return mean(wg::At(none).named("loss")); }), "[mean 'loss' "));
}
