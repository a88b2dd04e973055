// Layers: the structs declare what the functions do, and weights start as He or Glorot say, in C++ and in scripts.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include <wengert/models/layers.hpp>
#include <wengert/models/script.hpp>

#include "plan_support.hpp"

using namespace wengert;
using wengert::test::random_like, wengert::test::same_bits;

namespace {

double largest(const Parameter& weight) {
  double most = 0;
  for (const float value : weight.value().values<float>()) most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}

// Of thousands of weights the largest comes within a few per cent of the bound.
void reaches(const Parameter& weight, double bound) {
  CAPTURE(weight.shape().text());
  CHECK(largest(weight) <= bound);
  CHECK(largest(weight) > 0.97 * bound);
}

}  // namespace

TEST_CASE("a network of pooling and flattening layers is that of the functions, and its nodes bear their names") {
  const Conv2d conv("conv", {.in = 2, .out = 4, .size = 3, .activation = Activation::relu});
  const Linear linear("linear", {.in = 4 * 2 * 2, .out = 3});
  const MaxPool2d pool("pool", {.window = 2});
  const AveragePool2d mean("mean", {.window = 2, .stride = 1});
  const Flatten flat("flat");
  const Network layers = [=](const Var& x) { return linear(flat(mean(pool(conv(x))))); };
  const Network functions = [=](const Var& x) {
    return linear(flatten(average_pool2d(max_pool2d(conv(x), {.window = 2}), {.window = 2, .stride = 1})));
  };
  const Shape image{2, 8, 8};
  const Tensor x = random_like({{5, 2, 8, 8}, DType::f32}, "x");
  CHECK(same_bits(Model(layers, image)(x), Model(functions, image)(x)));

  Tape tape(Tape::Mode::declaring);
  const Var pooled = pool(tape.batch(x, "x")), averaged = mean(pooled);
  CHECK(pooled.name() == "pool");
  CHECK(averaged.name() == "mean");
  CHECK(flat(averaged).name() == "flat");
}

TEST_CASE("weights start uniform within the bounds of He and of Glorot") {
  const auto conv = [](WeightInit init, Index groups = 1) {
    return Conv2d("c", {.in = 8, .out = 16, .size = 5, .groups = groups, .init = init}).weight;
  };
  reaches(Conv2d("c", {.in = 8, .out = 16, .size = 5}).weight, std::sqrt(6.0 / (8 * 25)));  // He by default
  reaches(conv(WeightInit::he), std::sqrt(6.0 / (8 * 25)));
  reaches(conv(WeightInit::glorot), std::sqrt(6.0 / (8 * 25 + 16 * 25)));
  reaches(conv(WeightInit::glorot, 2), std::sqrt(6.0 / (4 * 25 + 8 * 25)));  // each weight joins the channels of its own group only
  const auto linear = [](WeightInit init) { return Linear("l", {.in = 128, .out = 64, .init = init}).weight; };
  reaches(Linear("l", {.in = 128, .out = 64}).weight, std::sqrt(6.0 / 128));
  reaches(linear(WeightInit::he), std::sqrt(6.0 / 128));
  reaches(linear(WeightInit::glorot), std::sqrt(6.0 / (128 + 64)));
}

TEST_CASE("a script's init gives the weights that C++ gives") {
  for (const auto& choice : {std::pair{"he", WeightInit::he}, {"glorot", WeightInit::glorot}}) {
    const char* const word = choice.first;
    const WeightInit init = choice.second;
    CAPTURE(word);
    const std::string chosen = std::string("init = \"") + word + "\" },\n";
    const Script script = parse_script("input = [1, 6, 6]\nlayers = [{ conv2d = \"c\", filters = 4, size = 3, " + chosen +
                                           "{ flatten = {} }, { linear = \"l\", units = 5, " + chosen + "]",
                                       "test.toml");
    const Conv2d conv("c", {.in = 1, .out = 4, .size = 3, .init = init});
    const Linear linear("l", {.in = 64, .out = 5, .init = init});
    Model by_script(script.network, script.input), by_hand([=](const Var&x) { return linear(flatten(conv(x))); }, script.input);
    by_script.initialise(7), by_hand.initialise(7);
    REQUIRE(by_script.parameters().size() == 4);
    for (const Parameter& parameter : by_hand.parameters()) {
      CAPTURE(parameter.name());
      CHECK(same_bits(by_script.parameter(parameter.name()).value(), parameter.value()));
    }
  }
}
