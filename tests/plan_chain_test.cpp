// Chains of elementwise ops in plans: which ops join, which do not, and that the values stay what they are op by op.
#include <doctest/doctest.h>

#include <wengert/backends/chain.hpp>
#include <wengert/backends/direct/chain.hpp>
#include <wengert/engine/gradients.hpp>
#include <wengert/ops/activation.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/conv.hpp>
#include <wengert/ops/reduce.hpp>

#include "ops_support.hpp"
#include "plan_support.hpp"

using namespace wengert;
using namespace wengert::test;

namespace {

using Vars = std::vector<Var>;

// The plan of a graph whose values agree with those op by op.
Plan agreeing(const SmallGraph& graph) {
  const auto what = plans_differ(graph);
  CHECK_MESSAGE(!what, what.value_or(""));
  return graph.plan();
}

std::string formula(const Plan& plan) { return step_of(plan.graph(), "elementwise_chain").attributes.as<Chain>().describe(); }

}  // namespace

TEST_CASE("chains: everything elementwise in a row is one step") {
  const Plan plan = agreeing({{images("x", {5, 37}), images("y", {5, 37})}, [](const Vars& in) {
                                const Var above = tanh(relu(in[0] + in[1]) * 2.0 - 0.5);  // recorded first
                                return Vars{above / (in[1] * in[1] + 1.0)};
                              }});
  CHECK(plan.graph().steps.size() == 1);
  CHECK(formula(plan) == "(tanh(2 * relu(x0 + x1) - 0.5) / (x1 * x1 + 1))");
}

TEST_CASE("chains: the gradient of tanh") {
  const Plan plan = agreeing({{images("x", {9, 300}), weights("w", {300})}, [](const Vars& in) {
                                const Var y = tanh(in[0] * in[1]);
                                return gradients(sum(y * y), {in[0]});
                              }});
  CHECK(count_of(plan.graph(), "elementwise_chain") >= 1);
  CHECK(count_of(plan.graph(), "affine") == 0);
}

TEST_CASE("chains: one value a channel, and a scalar, are repeated; other shapes end a chain") {
  const auto graph = [](const Shape& scale) {
    return SmallGraph{{images("x", {5, 9, 4, 7}), weights("s", scale)},
                      [](const Vars& in) { return Vars{relu((in[0] - 0.25) * in[1] + 1.0)}; }};
  };
  for (const Shape& scale : {Shape{1, 9, 1, 1}, Shape{9, 1, 1}, Shape{}, Shape{1, 1}})
    CHECK(agreeing(graph(scale)).graph().steps.size() == 1);
  const Plan rows = agreeing(graph({4, 7}));
  CHECK(count_of(rows.graph(), "multiply") == 1);
  CHECK(formula(rows) == "relu(x0 + 1)");
}

TEST_CASE("chains: a value that others read, or the user wants, stays") {
  const Plan plan = agreeing({{images("x", {6, 11})}, [](const Vars& in) {
                                const Var a = exp(in[0] * 0.5), b = relu(a - 1.0);
                                return Vars{a, b, sum(b, {1}), b * b + a};
                              }});
  CHECK(count_of(plan.graph(), "elementwise_chain") == 3);  // up to a, up to b, and what follows
  const Plan diamond = agreeing({{images("x", {6, 11})}, [](const Vars& in) {
                                   const Var a = in[0] * 0.5;
                                   return Vars{a * sigmoid(a) + tanh(a)};
                                 }});
  CHECK(diamond.graph().steps.size() == 1);
}

TEST_CASE("chains: f64, and a batch whose other operand does not carry it") {
  agreeing({{images("x", {6, 11})}, [](const Vars& in) { return Vars{tanh(in[0] * 2.0 + 1.0)}; }, DType::f64});
  const Plan plan = agreeing({{images("x", {4, 3}), weights("w", {4, 3})},  // w's rows are no images
                              [](const Vars& in) { return Vars{relu(in[0] + in[1]) * 2.0}; }});
  CHECK(count_of(plan.graph(), "add") == 1);
}

TEST_CASE("chains: between convolutions they keep blocks of channels, and padding lanes at zero") {
  for (const bool shifts : {false, true}) {
    for (const Index channels : {8, 9}) {
      const Plan plan = agreeing({{images("x", {5, channels, 8, 7}), weights("v", {channels, channels, 3, 3}),
                                   weights("w", {channels, channels, 3, 3}), weights("s", {1, channels, 1, 1})},
                                  [shifts](const Vars& in) {
                                    const Conv2dOptions same{.padding = Padding2d::same()};
                                    const Var y = conv2d(in[0], in[1], same), z = tanh(y * in[3]) * 3.0;
                                    return Vars{conv2d(shifts ? z + 1.0 : z, in[2], same)};
                                  }});
      const plan::Step& chain = step_of(plan.graph(), "elementwise_chain");
      CHECK(plan.graph().value(chain.outputs[0]).layout == (shifts && channels == 9 ? Layout::nchw : Layout::nhwc8));
    }
  }
}

TEST_CASE("chains: a divisor for each channel spoils no padding lane that a convolution reads") {
  agreeing({{images("x", {3, 9, 16, 16}), weights("w", {9, 9, 3, 3}), weights("s", {1, 9, 1, 1})}, [](const Vars& in) {
              const Conv2dOptions same{.padding = Padding2d::same()};
              return Vars{conv2d(conv2d(in[0], in[1], same) / (in[2] * in[2] + 1.0) * 2.0, in[1], same)};
            }});
}

TEST_CASE("chains: a chunk of one image of one pixel is not taken for one value a channel") {
  agreeing({{images("x", {4, 9, 3, 3}), weights("v", {9, 9, 3, 3}), weights("w", {9, 9, 1, 1}), weights("s", {1, 9, 1, 1})},
            [](const Vars& in) { return Vars{conv2d(tanh(conv2d(in[0], in[1]) + in[3]), in[2])}; }});
}

TEST_CASE("chains: keeps_zero knows what may spoil a padding lane") {
  using F = ChainLink::Function;
  const auto x = ChainOperand::each, one = ChainOperand::one, channel = ChainOperand::channel;
  const auto keeps = [&](std::vector<ChainLink> links, ChainOperand second) { return direct::keeps_zero({{x, second}, std::move(links)}); };
  CHECK(keeps({{F::multiply, 0, 1}}, one));
  CHECK(keeps({{F::sigmoid, 0}, {F::multiply, 2, 0}}, one));
  CHECK(keeps({{F::divide, 0, 1}}, one));
  CHECK_FALSE(keeps({{F::divide, 0, 1}}, x));
  CHECK_FALSE(keeps({{F::add, 0, 1}}, one));
  CHECK_FALSE(keeps({{F::affine, 0, -1, 1.0, 0.5}}, x));
  CHECK_FALSE(keeps({{F::log, 0}, {F::multiply, 2, 0}}, x));  // -inf times 0
  CHECK(keeps({{F::gate, 1, 0}}, one));
  CHECK(keeps({{F::add, 0, 1}}, channel));
  CHECK_FALSE(keeps({{F::divide, 0, 1}}, channel));  // 0 / 0
}
