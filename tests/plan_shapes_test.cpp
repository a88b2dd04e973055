// No rule, layout or kernel is tied to the report's sizes: networks of its kind with others are fused alike, and compute what eager does.
#include <doctest/doctest.h>

#include <set>

#include <wengert/engine/gradients.hpp>
#include <wengert/models/layers.hpp>
#include <wengert/ops/activation.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/max_pool.hpp>
#include <wengert/ops/optimiser.hpp>
#include <wengert/ops/reduce.hpp>
#include <wengert/ops/shape.hpp>
#include <wengert/ops/softmax.hpp>

#include "plan_support.hpp"

using namespace wengert;
using namespace wengert::test;

namespace {

// The report's network with sizes of one's own: (N,1,height,width), two or three convolutions, pool, two linear layers; loss and gradients.
struct Sizes {
  const char* name;
  Index filters1 = 8, filters2 = 8, size = 5, stride = 1, height = 28, width = 28, pool = 2, filters3 = 0;
};

SmallGraph network(const Sizes& s) {
  const auto out = [&](Index in) { return (in - s.size) / s.stride + 1; };
  Index h = out(out(s.height)), w = out(out(s.width)), channels = s.filters2;
  std::vector<GraphInput> inputs = {images("x", {3, 1, s.height, s.width}),
                                    labels("labels", 3, 10),
                                    weights("w1", {s.filters1, 1, s.size, s.size}),
                                    weights("b1", {s.filters1}),
                                    weights("w2", {s.filters2, s.filters1, s.size, s.size}),
                                    weights("b2", {s.filters2})};
  if (s.filters3 > 0) {
    h = out(h), w = out(w), channels = s.filters3;
    inputs.push_back(weights("w3", {s.filters3, s.filters2, s.size, s.size}));
    inputs.push_back(weights("b3", {s.filters3}));
  }
  inputs.push_back(weights("fc1", {128, channels * (h / s.pool) * (w / s.pool)}));
  inputs.push_back(weights("fc2", {10, 128}));
  for (GraphInput& input : inputs) input.name = std::string(s.name) + " " + input.name;
  return {inputs, [s](const std::vector<Var>& in) {
            Var x = in[0];
            std::size_t next = 2;
            for (; next + 2 < in.size(); next += 2) {
              const Index filters = in[next].shape()[0];
              x = relu(conv2d(x, in[next] * 0.2, Conv2dOptions{.stride = s.stride}) + reshape(in[next + 1], {1, filters, 1, 1}));
            }
            x = flatten(max_pool2d(x, {.window = s.pool}));
            const MatmulOptions transposed{.transpose_b = true};
            const Var logits = matmul(relu(matmul(x, in[next] * 0.05, transposed)), in[next + 1] * 0.1, transposed);
            const Var loss = affine(sum(softmax_cross_entropy(logits, in[1])), 1.0 / 3);
            std::vector<Var> all = gradients(loss, std::vector<Var>(in.begin() + 2, in.end()));
            all.insert(all.begin(), loss);
            return all;
          }};
}

std::set<std::string> rules_of(const Plan& plan) {
  std::set<std::string> rules;
  for (const plan::Fusion& rule : builtin_fusions()) {
    if (noted(plan.graph(), "fuse", rule.name + " at [")) rules.insert(rule.name);
  }
  return rules;
}

}  // namespace

TEST_CASE("networks of other sizes match the rules that the report's matches, and compute what eager does") {
  const std::set<std::string> wanted = rules_of(network({"report"}).plan());
  CHECK(wanted.count("winners") == 1);
  CHECK(wanted.size() >= 7);
  for (const Sizes& sizes :
       {Sizes{"report"}, Sizes{.name = "9 and 13 filters", .filters1 = 9, .filters2 = 13}, Sizes{.name = "3x3", .size = 3},
        Sizes{.name = "7x7", .size = 7}, Sizes{.name = "30x26", .height = 30, .width = 26}, Sizes{.name = "pool 3", .pool = 3},
        Sizes{.name = "third convolution", .filters3 = 8}, Sizes{.name = "stride 2", .stride = 2}}) {
    CAPTURE(sizes.name);
    const SmallGraph graph = network(sizes);
    CHECK(rules_of(graph.plan()) == wanted);
    Plan plan = graph.plan();
    const auto what = differ(outputs_of(plan), graph.eager(), plan_bound(DType::f32));
    CHECK_MESSAGE(!what, what.value_or(""));
  }
}

TEST_CASE("a rule that fits nowhere says what it wants") {
  const Plan plan = SmallGraph{{images("x", {3, 4})}, [](const std::vector<Var>& in) { return std::vector<Var>{tanh(in[0])}; }}.plan();
  for (const plan::Fusion& rule : builtin_fusions()) CHECK(noted(plan.graph(), "fuse", rule.name + " fits nowhere: it wants "));
}
