// Every mutation is caught by the gradient check, on its op alone and inside the report's network, where the check names the node.
#include <doctest/doctest.h>

#include <functional>
#include <set>

#include <wengert/engine/context.hpp>
#include <wengert/engine/gradcheck.hpp>
#include <wengert/engine/samples.hpp>
#include <wengert/models/mnist_cnn.hpp>
#include <wengert/ops/catalogue.hpp>

#include "mutations.hpp"
#include "scratch_folder.hpp"

namespace {

using namespace wengert;
using test::contains;
using test::Mutation;

// The same network without kinks but those of its pooling.
Var smooth_network(const Var& images) {
  static const Conv2d conv1{"conv1", {.in = 1, .out = 8, .size = 5, .activation = Activation::tanh}};
  static const Conv2d conv2{"conv2", {.in = 8, .out = 8, .size = 5, .activation = Activation::tanh}};
  static const Linear fc1{"fc1", {.in = 800, .out = 128, .activation = Activation::tanh}}, fc2{"fc2", {.in = 128, .out = 10}};
  return fc2(fc1(flatten(max_pool2d(conv2(conv1(images)), {.window = 2}))));
}

GradcheckReport check_network(const std::function<Var(const Var&)>& network, const GradcheckOptions& options) {
  SampleInput images, labels;
  images.shape = {2, 1, 28, 28};
  labels.shape = {2};
  labels.fill = SampleInput::Fill::classes;
  labels.bound = 10;
  const auto loss = [&](std::span<const Var> data) { return sum(softmax_cross_entropy(network(data[0]), data[1])); };
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
  const GradcheckReport report = check_network(MnistCnn{}, options);
  CHECK_MESSAGE(report.verdict() == Verdict::pass, texts(report));
  CHECK(report.passed >= 20);
}

TEST_CASE("Hessian-vector products of the report's network with a smooth activation agree with differences of its gradient") {
  GradcheckOptions options;
  options.order = 2;
  options.directions = 1;
  options.entries = 1;
  const GradcheckReport report = check_network(smooth_network, options);
  CHECK_MESSAGE(report.verdict() == Verdict::pass, texts(report));
  CHECK(report.passed >= 10);
}

TEST_CASE("a network with batch norm and dropout in training passes, and its running statistics stay as they were") {
  const BatchNorm norm{"norm", {.channels = 8}};
  const Conv2d conv{"conv", {.in = 1, .out = 8, .size = 5, .stride = 3}};
  const Dropout dropout{"dropout", {.rate = 0.4}};
  const Linear last{"last", {.in = 512, .out = 10}};
  const Tensor mean = norm.mean.value();
  const TrainingScope training(3, Var(Tensor::copy(std::vector<std::int32_t>{7}.data(), {})));
  const auto network = [&](const Var& x) { return last(dropout(flatten(tanh(norm(conv(x)))))); };
  const GradcheckReport report = check_network(network, {});
  CHECK_MESSAGE(report.verdict() == Verdict::pass, texts(report));
  CHECK(report.passed > 20);
  for (Index i = 0; i < mean.elements(); ++i) CHECK(norm.mean.value().at(i) == mean.at(i));
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
  const std::set<std::string> of_the_loss = {"softmax_cross_entropy", "sum"};
  for (const Mutation& mutation : test::mutations()) {
    if (!mutation.in_network) continue;
    CAPTURE(mutation.what);
    const Catalogue catalogue = test::mutated(mutation);
    GradcheckOptions options;
    options.catalogue = &catalogue;
    options.directions = 1;
    options.entries = 1;
    options.most_failures = 1;
    const GradcheckReport report = check_network(MnistCnn{}, options);
    CHECK_MESSAGE(report.verdict() == Verdict::fail, texts(report));
    REQUIRE(report.first_wrong_node);
    CHECK_MESSAGE(report.first_wrong_node->op == mutation.op, report.first_wrong_node->text());
    CHECK_MESSAGE(contains(report.first_wrong_node->node, "[" + mutation.op), report.first_wrong_node->text());
    const char* const place = of_the_loss.count(mutation.op) > 0 ? "tests/mutations_test.cpp:" : "models/mnist_cnn.hpp:";
    CHECK_MESSAGE(contains(report.first_wrong_node->node, place), report.first_wrong_node->text());
    ops.insert(mutation.op);
  }
  CHECK(ops == std::set<std::string>{"add", "conv2d", "matmul", "max_pool2d", "relu", "reshape", "softmax_cross_entropy", "sum"});
}
