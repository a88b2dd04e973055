// Every mutation is caught by what `wengert gradcheck` runs, on its op alone and inside the report's network, where it names the node.
#include <doctest/doctest.h>

#include <functional>
#include <set>

#include <nlohmann/json.hpp>

#include <wengert/engine/context.hpp>
#include <wengert/engine/gradcheck.hpp>
#include <wengert/engine/samples.hpp>
#include <wengert/models/mnist_cnn.hpp>
#include <wengert/ops/catalogue.hpp>

#include "../tools/wengert/command.hpp"
#include "../tools/wengert/gradcheck.hpp"
#include "mutations.hpp"
#include "scratch_folder.hpp"

namespace {

using namespace wengert;
using command::GradcheckRequest;
using command::GradcheckResult;
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
  return check_model(loss, {sample_tensor("images", 0, 0, images), sample_tensor("labels", 0, 0, labels)}, options,
                     "wengert gradcheck mnist_cnn");
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

TEST_CASE("wengert gradcheck catches every mutation on its op, says so and ends with status 1") {
  CHECK(test::mutations().size() >= 14);
  for (const Mutation& mutation : test::mutations()) {
    CAPTURE(mutation.what);
    GradcheckRequest request;
    request.subject = mutation.op;
    CHECK(gradcheck_status(gradcheck(request, builtin_catalogue())) == command::success);
    const Catalogue catalogue = test::mutated(mutation);
    const std::vector<GradcheckResult> results = gradcheck(request, catalogue);
    const std::string text = gradcheck_text(results, request.options, false);
    CAPTURE(text);
    CHECK(gradcheck_status(results) == command::check_failed);
    CHECK(text.rfind(mutation.op + ": fail: ", 0) == 0);
    REQUIRE(results.size() == 1);
    REQUIRE_FALSE(results[0].report.findings.empty());
    const GradcheckFinding& finding = results[0].report.findings[0];
    CHECK(finding.op == mutation.op);
    CHECK(finding.input >= 0);
    CHECK(contains(text, "again: wengert gradcheck " + mutation.op + " --case "));
    request.options.only_case = finding.number;  // what that command does
    request.options.seed = finding.seed;
    request.options.only_input = finding.input;
    CHECK(gradcheck_status(gradcheck(request, catalogue)) == command::check_failed);
  }
}

TEST_CASE("a vjp of another dtype is an error of the check, which names the op") {
  const Mutation other_dtype{"the gradient is f32", "exp", false, [](const VjpCall& call, const Mutation::Vjp& right) {
                               return std::vector<Var>{cast(right(call)[0], DType::f32)};
                             }};
  const std::string message = test::message_of<Error>([&] { check_op(test::mutated(other_dtype), "exp"); });
  CHECK_MESSAGE(contains(message, "[exp] in its gradient: its vjp returned f32"), message);
}

TEST_CASE("wengert gradcheck catches every mutation of an op of the report's network there, and names the node") {
  std::set<std::string> ops;
  Index caught = 0;
  for (const Mutation& mutation : test::mutations()) {
    if (!mutation.in_network) continue;
    CAPTURE(mutation.what);
    GradcheckRequest request;
    request.options.directions = 1;
    request.options.entries = 2;  // the first and the steepest: a direction meets the ties of pooled zeros
    request.options.most_failures = 1;
    const std::vector<GradcheckResult> results = gradcheck(request, test::mutated(mutation));
    const std::string text = gradcheck_text(results, request.options, false);
    CAPTURE(text);
    CHECK(gradcheck_status(results) == command::check_failed);
    CHECK(text.rfind("the report's network: fail: ", 0) == 0);
    const char* const place = mutation.op == "softmax_cross_entropy" ? "tools/wengert/gradcheck.cpp:" : "models/mnist_cnn.hpp:";
    const std::size_t node = text.find("\n  first wrong node: [" + mutation.op);
    REQUIRE(node != std::string::npos);
    CHECK(contains(text.substr(node, text.find(']', node) - node), place));
    CHECK(nlohmann::json::parse(gradcheck_text(results, request.options, true))["results"][0]["first_wrong_node"]["op"] == mutation.op);
    ops.insert(mutation.op);
    ++caught;
  }
  CHECK(caught >= 12);
  CHECK(ops == std::set<std::string>{"add", "conv2d", "matmul", "max_pool2d", "relu", "reshape", "softmax_cross_entropy"});
}

TEST_CASE("one op that fails among all makes the whole fail") {
  GradcheckRequest request;
  request.all = true;
  request.options.directions = 1;
  request.options.entries = 1;
  const Mutation& mutation = test::mutations().back();
  const std::vector<GradcheckResult> results = gradcheck(request, test::mutated(mutation));
  CHECK(results.size() == builtin_catalogue().names().size());
  CHECK(gradcheck_status(results) == command::check_failed);
  const std::string text = gradcheck_text(results, request.options, false);
  CHECK(contains(text, mutation.op + ": fail: "));
  CHECK(contains(text, std::to_string(results.size()) + " subjects: fail"));
  const auto json = nlohmann::json::parse(gradcheck_text(results, request.options, true));
  CHECK(json["verdict"] == "fail");
  for (const auto& result : json["results"])
    CHECK_MESSAGE((result["verdict"] == "fail") == (result["subject"] == mutation.op), result.dump());
}
