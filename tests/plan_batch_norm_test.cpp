// Batch norm in plans: its gradient is one step wherever it stands, also where two norms share a cotangent.
#include <doctest/doctest.h>

#include <wengert/engine/gradients.hpp>
#include <wengert/ops/activation.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/batch_norm.hpp>
#include <wengert/ops/conv.hpp>
#include <wengert/ops/reduce.hpp>

#include "plan_support.hpp"

using namespace wengert;
using namespace wengert::test;

TEST_CASE("batch norm's gradient is one step, for both branches of a residual sum too") {
  const std::vector<GraphInput> inputs = {images("x", {6, 8, 5, 4}), weights("v", {8, 8, 3, 3}), weights("w", {8, 8, 1, 1}),
                                          weights("gamma", {8}), weights("beta", {8})};
  const auto loss = [](const Var& y) { return sum(tanh(y) * y); };
  const Conv2dOptions same{.padding = Padding2d::same()};
  const SmallGraph straight{inputs, [=](const std::vector<Var>& in) {
                              return gradients(loss(relu(batch_norm(conv2d(in[0], in[1], same), in[3], in[4]).y)), {in[1], in[3], in[4]});
                            }};
  const SmallGraph residual{inputs, [=](const std::vector<Var>& in) {
                              const Var a = batch_norm(conv2d(in[0], in[1], same), in[3], in[4]).y;
                              const Var b = batch_norm(conv2d(in[0], in[2]), in[3], in[4]).y;
                              return gradients(loss(relu(a + b)), {in[1], in[2], in[3], in[4]});
                            }};
  for (const auto& [graph, norms] : {std::pair(straight, 1), std::pair(residual, 2)}) {
    const auto what = plans_differ(graph);
    CHECK_MESSAGE(!what, what.value_or(""));
    CHECK(count_of(graph.plan().graph(), "batch_norm_gradient") == norms);
  }
}

TEST_CASE("what only looks like batch norm's gradient is left as it is") {
  const std::vector<GraphInput> inputs = {images("x", {6, 8, 5, 4}), images("dy", {6, 8, 5, 4}), weights("gamma", {8}),
                                          weights("beta", {8})};
  const auto formula = [&](double factor, double epsilon, double share) {
    return SmallGraph{inputs, [=](const std::vector<Var>& in) {
                        const BatchNormResult norm = batch_norm(in[0], in[2], in[3], 1e-3);
                        const auto channels = [](const Var& values) { return reshape(values, {8, 1, 1}); };
                        const Var scale = power(norm.variance + epsilon, -0.5), normal = (in[0] - channels(norm.mean)) * channels(scale);
                        const Var dgamma = sum(in[1] * normal, {0, 2, 3}), dbeta = sum(in[1], {0, 2, 3});
                        const Var dx =
                            channels(in[2] * factor * scale) * (in[1] - (channels(dbeta * share) + normal * channels(dgamma * share)));
                        return std::vector<Var>{norm.y, dx, dgamma, dbeta};
                      }};
  };
  for (const SmallGraph& graph : {formula(10, 1e-3, 1.0 / 120), formula(1, 0.5, 1.0 / 120), formula(1, 1e-3, 0.1)}) {
    const auto what = plans_differ(graph);
    CHECK_MESSAGE(!what, what.value_or(""));
    CHECK(count_of(graph.plan().graph(), "batch_norm_gradient") == 0);
  }
}
