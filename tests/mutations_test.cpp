// Every mutation is caught by the gradient check, on its op alone and inside the report's network, where the check names the node.
#include <doctest/doctest.h>

#include <set>

#include <wengert/engine/gradcheck.hpp>
#include <wengert/engine/samples.hpp>
#include <wengert/ops/catalogue.hpp>

#include "mutations.hpp"
#include "scratch_folder.hpp"

namespace {

using namespace wengert;
using test::contains;
using test::Mutation;

// The report's network: two convolutions with bias and ReLU, max pooling, two fully connected layers.
struct ReportNetwork {
  Parameter w1{"conv1.weight", {8, 1, 5, 5}, Initial::he_uniform(25)}, b1{"conv1.bias", {8}, Initial::constant(0)};
  Parameter w2{"conv2.weight", {8, 8, 5, 5}, Initial::he_uniform(200)}, b2{"conv2.bias", {8}, Initial::constant(0)};
  Parameter f1{"fc1.weight", {128, 800}, Initial::he_uniform(800)}, f2{"fc2.weight", {10, 128}, Initial::he_uniform(128)};

  static Var convolution(const std::string& name, const Var& x, const Parameter& w, const Parameter& b) {
    const Var y = conv2d(At(x).named(name), w.on(x), Conv2dOptions{});
    return relu(At(y + reshape(b.on(x), {8, 1, 1})).named(name + ".relu"));
  }
  Var operator()(Var x) const {
    x = convolution("conv1", x, w1, b1);
    x = max_pool2d(At(convolution("conv2", x, w2, b2)).named("pool"), {.window = 2});
    x = relu(At(linear(At(flatten(x)).named("fc1"), f1.on(x))).named("fc1.relu"));
    return linear(At(x).named("fc2"), f2.on(x));
  }
};

GradcheckReport check_network(GradcheckOptions options) {
  const ReportNetwork network;
  SampleInput images, labels;
  images.shape = {2, 1, 28, 28};
  labels.shape = {2};
  labels.fill = SampleInput::Fill::classes;
  labels.bound = 10;
  const auto loss = [&](std::span<const Var> data) {
    return sum(At(softmax_cross_entropy(At(network(data[0])).named("loss"), data[1])).named("total"));
  };
  return check_model(loss, {sample_tensor("images", 0, 0, images), sample_tensor("labels", 0, 0, labels)}, options, "wengert gradcheck mnist_cnn");
}

std::string texts(const GradcheckReport& report) {
  std::string all = report.text();
  for (const GradcheckFinding& finding : report.findings) all += "\n" + finding.text();
  return all;
}

}  // namespace

TEST_CASE("the report's network passes the gradient check") {
  GradcheckOptions options;
  options.directions = 2;
  options.entries = 3;
  const GradcheckReport report = check_network(options);
  CHECK_MESSAGE(report.verdict() == Verdict::pass, texts(report));
  CHECK(report.passed >= 20);
}

TEST_CASE("every mutation is caught on its op") {
  CHECK(test::mutations().size() >= 14);
  for (const Mutation& mutation : test::mutations()) {
    CAPTURE(mutation.what);
    CHECK(check_op(builtin_catalogue(), mutation.op).verdict() == Verdict::pass);
    const GradcheckReport report = check_op(test::mutated(mutation), mutation.op);
    CHECK_MESSAGE(report.verdict() == Verdict::fail, texts(report));
    if (report.findings.empty()) continue;
    const GradcheckFinding& finding = report.findings[0];
    CHECK(finding.op == mutation.op);
    CHECK(finding.input >= 0);
    CHECK(contains(finding.command, "wengert gradcheck " + mutation.op + " --case "));
    GradcheckOptions alone;  // what the command does
    alone.only_case = finding.number;
    alone.seed = finding.seed;
    CHECK(check_op(test::mutated(mutation), mutation.op, alone).verdict() == Verdict::fail);
  }
}

TEST_CASE("every mutation of an op of the report's network is caught there, and the node is named") {
  std::set<std::string> ops;
  for (const Mutation& mutation : test::mutations()) {
    if (!mutation.in_network) continue;
    CAPTURE(mutation.what);
    const Catalogue catalogue = test::mutated(mutation);
    GradcheckOptions options;
    options.catalogue = &catalogue;
    options.directions = 1;
    options.entries = 1;
    options.most_failures = 1;
    const GradcheckReport report = check_network(options);
    CHECK_MESSAGE(report.verdict() == Verdict::fail, texts(report));
    REQUIRE(report.first_wrong_node);
    CHECK_MESSAGE(report.first_wrong_node->op == mutation.op, report.first_wrong_node->text());
    CHECK_MESSAGE(contains(report.first_wrong_node->node, "[" + mutation.op), report.first_wrong_node->text());
    CHECK_MESSAGE(contains(report.first_wrong_node->node, "tests/mutations_test.cpp:"), report.first_wrong_node->text());
    ops.insert(mutation.op);
  }
  CHECK(ops == std::set<std::string>{"add", "conv2d", "matmul", "max_pool2d", "relu", "reshape", "softmax_cross_entropy", "sum"});
}
