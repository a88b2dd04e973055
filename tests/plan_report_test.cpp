// What a plan says of itself: its rows against the graph they come from, with and without fusions.
#include <algorithm>
#include <set>

#include <doctest/doctest.h>

#include <wengert/backends/geometry.hpp>
#include <wengert/engine/plan/report.hpp>
#include <wengert/models/mnist_cnn.hpp>
#include <wengert/models/predictor.hpp>
#include <wengert/models/training_step.hpp>
#include <wengert/ops/fusion/fusions.hpp>

using namespace wengert;
using plan::Extent;
using plan::StepRow;

namespace {

constexpr Index batch = 12;

struct Mnist {
  Model model{MnistCnn{}, {1, 28, 28}};
  Update update{Adam::report(), {}};
  Mnist() { model.initialise(1); }

  std::vector<StepRow> training(PlanOptions options = plan_options()) {
    TrainingStep step(model, update, batch, 1, std::move(options));
    return plan::rows(step.plan());
  }
};

double flops_of(const std::vector<StepRow>& rows) {
  double sum = 0;
  for (const StepRow& row : rows) sum += row.flops;
  return sum;
}

// Forward and both gradients; the images have no gradient.
double expected_flops() {
  const auto conv = [](Index channels, Index size) {
    ConvGeometry g;
    g.channels = channels, g.height = g.width = size, g.filters = 8, g.kernel_height = g.kernel_width = 5,
    g.out_height = g.out_width = size - 4;
    return g.flops(batch);
  };
  const auto linear = [](Index in, Index out) { return 2.0 * static_cast<double>(batch * in * out); };
  return 2 * conv(1, 28) + 3 * (conv(8, 24) + linear(800, 128) + linear(128, 10));
}

}  // namespace

TEST_CASE("rows stand in the order of the levels, each with its kernel, the reason for it and where it was declared") {
  const auto rows = Mnist().training();
  REQUIRE(!rows.empty());
  std::set<plan::StepId> ids;
  int level = 0;
  for (const StepRow& row : rows) {
    CHECK(ids.insert(row.id).second);
    CHECK(row.level >= level);
    level = row.level;
    CHECK(!row.why.empty() == !row.op.starts_with("reshape"));
    if (row.alias) CHECK(row.bytes == 0);
    else CHECK(row.bytes > 0);
    for (const plan::ValueRow& output : row.outputs) CHECK(output.storage != plan::Storage::constant);
  }
  const auto conv = std::find_if(rows.begin(), rows.end(), [](const StepRow& row) { return row.name == "conv2"; });
  REQUIRE(conv != rows.end());
  CHECK(conv->site.find("models/mnist_cnn.hpp:") != std::string::npos);
  CHECK(conv->extent == Extent::chunk);
  CHECK(!conv->fusion.empty());
  CHECK(conv->outputs[0].batched);
  CHECK(!conv->backward);
}

TEST_CASE("the FLOPs of a training step are those of its convolutions and products, however they are fused") {
  Mnist network;
  CHECK(flops_of(network.training()) == doctest::Approx(expected_flops()));
  PlanOptions plain = plan_options();
  plain.fusions.clear();
  CHECK(flops_of(network.training(std::move(plain))) == doctest::Approx(expected_flops()));
}

TEST_CASE("kept for the backward pass is what the forward pass makes and the reverse sweep reads") {
  std::set<std::string> kept;
  for (const StepRow& row : Mnist().training()) {
    for (const plan::ValueRow& output : row.outputs) {
      if (output.kept_for.empty()) continue;
      CHECK(!row.backward);
      kept.insert(row.name);
    }
  }
  CHECK(kept.count("conv1") == 1);  // read by the weight gradient of conv2
  CHECK(kept.count("fc1") == 1);    // and by that of fc2
  CHECK(kept.count("fc2") == 0);    // the logits: their gradient is made beside the loss
}

TEST_CASE("an inference keeps nothing and has no step of a reverse sweep") {
  Mnist network;
  Predictor predictor(network.model, batch, plan_options());
  const auto rows = plan::rows(predictor.plan());
  CHECK(rows.size() >= 4);
  for (const StepRow& row : rows) {
    CHECK(!row.backward);
    for (const plan::ValueRow& output : row.outputs) CHECK(output.kept_for.empty());
  }
}
