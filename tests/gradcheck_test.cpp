// The gradient check on functions and models: what it passes, what it finds and what it says of it.
#include <doctest/doctest.h>

#include <cmath>

#include <wengert/engine/error.hpp>
#include <wengert/engine/gradcheck.hpp>
#include <wengert/engine/gradients.hpp>
#include <wengert/engine/samples.hpp>
#include <wengert/ops/activation.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/catalogue.hpp>
#include <wengert/ops/reduce.hpp>
#include <wengert/ops/shape.hpp>

#include "scratch_folder.hpp"

namespace {

using namespace wengert;
using test::contains;

Tensor normal(const Shape& shape, const std::string& name, DType dtype = DType::f64) {
  SampleInput input;
  input.shape = shape;
  return sample_tensor(name, 0, 0, input, {1, dtype});
}

GradcheckReport report_on(const GradcheckFunction& function, std::vector<GradcheckInput> inputs, GradcheckOptions options = {}) {
  const GradcheckReport report = check_function(function, inputs, options);
  for (const GradcheckFinding& finding : report.findings) INFO(finding.text());
  return report;
}

std::string texts(const GradcheckReport& report) {
  std::string all = report.text();
  for (const GradcheckFinding& finding : report.findings) all += "\n" + finding.text();
  return all;
}

// An identity whose gradient is multiplied by `factors` (of its input's shape): a wrong vjp by hand.
Var with_gradient_times(const Var& x, const Tensor& factors) {
  struct Factors {
    Tensor values;
    std::string describe() const { return "factors"; }
  };
  static const Op op = [] {
    Op made;
    made.name = "mistaken";
    made.shapes = same_shape_rule;
    made.vjp = [](const VjpCall& call) { return std::vector<Var>{call.cotangent() * Var(call.as<Factors>().values)}; };
    made.batch = [](const BatchQuery&) { return BatchEffect::mixes(1u); };
    Kernel copy;
    copy.run = [](const KernelCall& call) {
      for (Index i = 0; i < call.input(0).elements(); ++i) call.output(0).write<double>()[i] = call.input(0).read<double>()[i];
    };
    copy.dtypes = {DType::f64};
    made.kernels = {copy};
    made.samples = [] { return std::vector<Sample>{}; };
    return made;
  }();
  return apply(op, Factors{factors}, At(x));
}

Tensor ones_but(const Shape& shape, Index index, double value) {
  Tensor result = Tensor::full(shape, 1.0, DType::f64);
  result.mutable_view().write<double>()[index] = value;
  return result;
}

// Two dense layers without matmul, so that few ops take part: x (N,I).
struct SmallNetwork {
  Parameter w1{"w1", {6, 4}, Initial::uniform(0.7)}, b1{"b1", {6}, Initial::constant(0)}, w2{"w2", {3, 6}, Initial::uniform(0.7)};

  Var operator()(const Var& x) const {
    const Var hidden = tanh(At(dense(x, w1) + b1.on(x)).named("hidden"));
    return dense(relu(hidden * 2.0), w2);
  }
  static Var dense(const Var& x, const Parameter& w) { return sum(reshape(x, {x.shape()[0], 1, x.shape()[1]}) * w.on(x), {2}); }
};

GradcheckReport check_small_network(const GradcheckOptions& options) {
  const SmallNetwork network;
  const auto loss = [&](std::span<const Var> data) {
    const Var error = network(data[0]) - data[1];
    return sum(error * error);
  };
  return check_model(loss, {normal({5, 4}, "images"), normal({5, 3}, "targets")}, options, "wengert gradcheck small.toml");
}

Catalogue with_changed_vjp(const std::string& name, const std::function<std::vector<Var>(const VjpCall&, std::vector<Var>)>& change) {
  Catalogue catalogue = builtin_catalogue();
  Op op = catalogue.at(name);
  op.vjp = [right = op.vjp, change](const VjpCall& call) { return change(call, right(call)); };
  catalogue.replace(op);
  return catalogue;
}

}  // namespace

TEST_CASE("other orders than the first and second are refused") {
  GradcheckOptions options;
  for (const int order : {0, 3}) {
    options.order = order;
    const std::string message = test::message_of<Error>([&] { check_op(builtin_catalogue(), "tanh", options); });
    CHECK_MESSAGE(test::contains(message, "[gradcheck] wanted order 1 or 2, got " + std::to_string(order)), message);
  }
}

TEST_CASE("right gradients of composed functions pass, of first and second order") {
  const auto function = [](std::span<const Var> x) {
    return std::vector<Var>{tanh(x[0] * x[1]) + exp(x[1] * 0.3), sum(x[0] / (2.0 + x[1] * x[1]))};
  };
  for (const int order : {1, 2}) {
    GradcheckOptions options;
    options.order = order;
    const GradcheckReport report = report_on(function, {{normal({4, 5}, "a"), "a"}, {normal({5}, "b"), "b"}}, options);
    CHECK_MESSAGE(report.verdict() == Verdict::pass, texts(report));
    CHECK(report.passed >= 14);
  }
}

TEST_CASE("one wrong entry of a thousand is found by the random directions and named") {
  constexpr Index wrong = 617;
  const auto function = [](std::span<const Var> x) {
    return std::vector<Var>{sum(tanh(with_gradient_times(x[0], ones_but({10, 4, 5, 5}, wrong, 1.01))))};
  };
  GradcheckOptions options;
  options.entries = 0;
  const GradcheckReport report = report_on(function, {{normal({10, 4, 5, 5}, "x"), "x"}}, options);
  REQUIRE(report.verdict() == Verdict::fail);
  CHECK(report.failed >= 4);  // every direction sees it
  const GradcheckFinding& finding = report.findings[0];
  CHECK(finding.index == wrong);
  CHECK(finding.position == "(6,0,3,2)");
  CHECK(finding.input == 0);
  CHECK(finding.input_name == "x");
  CHECK(finding.analytic == doctest::Approx(1.01 * finding.numeric).epsilon(1e-5));
  CHECK(contains(finding.text(), "input 0 'x' at index 617 (6,0,3,2)"));
}

TEST_CASE("errors of one percent, of one in ten thousand, and of sign are found") {
  for (const double factor : {1.01, 0.9999, -1.0, 0.0, 2.0}) {
    CAPTURE(factor);
    const auto function = [&](std::span<const Var> x) {
      return std::vector<Var>{exp(with_gradient_times(x[0], Tensor::full({3, 4}, factor, DType::f64)))};
    };
    CHECK(report_on(function, {{normal({3, 4}, "x"), "x"}}).verdict() == Verdict::fail);
  }
}

TEST_CASE("large values, small gradients, cancellation and huge inputs raise no alarm") {
  const Tensor x = normal({30}, "x");
  const auto passes = [](const GradcheckFunction& function, const Tensor& value) {
    const GradcheckReport report = report_on(function, {{value, "x"}});
    CHECK_MESSAGE(report.verdict() == Verdict::pass, texts(report));
  };
  passes([](std::span<const Var> v) { return std::vector<Var>{v[0] + 1e8}; }, x);
  passes([](std::span<const Var> v) { return std::vector<Var>{sum(v[0] * 1e-12)}; }, x);
  passes([](std::span<const Var> v) { return std::vector<Var>{(v[0] + 1e7) - 1e7}; }, x);
  passes([](std::span<const Var> v) { return std::vector<Var>{sum(v[0] * v[0])}; }, Tensor::full({5}, 1e150, DType::f64));
  passes([](std::span<const Var> v) { return std::vector<Var>{v[0] * v[0] * v[0]}; }, Tensor{1.0, 2.0, 3.0, 1000.0, -65536.0});
  passes([](std::span<const Var> v) { return std::vector<Var>{sqrt(v[0])}; }, Tensor{1e-12, 1e-9, 1e-10});
  passes([](std::span<const Var> v) { return std::vector<Var>{log(v[0])}; }, Tensor{1e-300, 3e-300});
  passes([](std::span<const Var> v) { return std::vector<Var>{exp(v[0])}; }, Tensor{-300.0, 200.0, 1.0});
  passes([](std::span<const Var> v) { return std::vector<Var>{tanh(v[0])}; },
         Tensor::full({4}, 1e-320, DType::f64));  // subnormal numbers count
}

TEST_CASE("at a kink the check is inconclusive, and a slope outside of both sides fails") {
  const Tensor x{1.0, 0.0, -2.0};
  const auto kinked = [](std::span<const Var> v) { return std::vector<Var>{relu(v[0])}; };
  const GradcheckReport report = report_on(kinked, {{x, "x"}});
  CHECK_MESSAGE(report.verdict() == Verdict::inconclusive, texts(report));
  bool named = false;
  for (const GradcheckFinding& finding : report.findings) named = named || (finding.index == 1 && contains(finding.reason, "kink"));
  CHECK(named);
  const auto outside = [](std::span<const Var> v) {
    return std::vector<Var>{relu(with_gradient_times(v[0], Tensor::full({3}, 1.5, DType::f64)))};
  };
  CHECK(report_on(outside, {{x, "x"}}).verdict() == Verdict::fail);
}

TEST_CASE("at kinks of several terms at once the choice of a slope in each is not an error") {
  // Weights of either sign, and for ties in a maximum the first argument's slope: the sum need not lie between the sums.
  const Tensor zeros = Tensor::zeros({50}, DType::f64);
  const auto terms = [](std::span<const Var> v) { return std::vector<Var>{maximum(v[0], v[1]) + relu(v[1])}; };
  const GradcheckReport separate = report_on(terms, {{zeros, "a"}, {zeros, "b"}});
  CHECK_MESSAGE(separate.verdict() == Verdict::inconclusive, texts(separate));
  const Tensor signs = normal({50}, "signs");
  const auto one_sum = [&](std::span<const Var> v) { return std::vector<Var>{sum(maximum(v[0], v[1]) * Var(signs))}; };
  const GradcheckReport summed = report_on(one_sum, {{zeros, "a"}, {zeros, "b"}});
  CHECK_MESSAGE(summed.verdict() == Verdict::inconclusive, texts(summed));
  const Tensor factors = Tensor::full({50}, -1.0, DType::f64);
  const auto wrong = [&](std::span<const Var> v) { return std::vector<Var>{sum(with_gradient_times(maximum(v[0], v[1]), factors))}; };
  CHECK(report_on(wrong, {{zeros, "a"}, {zeros, "b"}}).verdict() == Verdict::fail);
}

TEST_CASE("a check in which all gradients are zero fails as vacuous") {
  const auto dead = [](std::span<const Var> v) { return std::vector<Var>{relu(v[0] - 100.0)}; };
  const GradcheckReport report = report_on(dead, {{normal({4}, "x"), "x"}});
  CHECK(report.verdict() == Verdict::fail);
  REQUIRE(report.findings.size() == 1);
  CHECK(contains(report.findings[0].reason, "vacuous"));
  CHECK(report.zero == report.checks);
}

TEST_CASE("a gradient that is missing, NaN or infinite fails") {
  const auto stopped = [](std::span<const Var> v) { return std::vector<Var>{v[0] * stop_gradient(v[1])}; };
  const GradcheckReport report = report_on(stopped, {{normal({4}, "a"), "a"}, {normal({4}, "b"), "b"}});
  REQUIRE(report.verdict() == Verdict::fail);
  CHECK(report.findings[0].input_name == "b");
  for (const double strange : {std::nan(""), HUGE_VAL}) {
    const auto function = [&](std::span<const Var> v) {
      return std::vector<Var>{with_gradient_times(v[0], Tensor::full({4}, strange, DType::f64))};
    };
    CHECK(report_on(function, {{normal({4}, "a"), "a"}}).verdict() == Verdict::fail);
  }
}

TEST_CASE("integer inputs are constants, and a function of nothing is not checked") {
  const auto scaled = [](std::span<const Var> v) { return std::vector<Var>{v[0] * cast(v[1], DType::f64)}; };
  const GradcheckReport report = report_on(scaled, {{normal({3}, "x"), "x"}, {Tensor{1, 2, 3}, "n"}});
  CHECK_MESSAGE(report.verdict() == Verdict::pass, texts(report));
  CHECK(report_on([](std::span<const Var> v) { return std::vector<Var>{v[0]}; }, {{Tensor::zeros({0, 3}, DType::f64), "x"}}).checks == 0);
}

TEST_CASE("the check in f32 tells errors of a few percent") {
  const auto right = [](std::span<const Var> v) { return std::vector<Var>{tanh(v[0] * v[0])}; };
  const auto wrong = [](std::span<const Var> v) { return std::vector<Var>{tanh(v[0] * stop_gradient(v[0])) * 1.0}; };
  const std::vector<GradcheckInput> inputs = {{normal({20}, "x", DType::f32), "x"}};
  const GradcheckReport report = report_on(right, inputs);
  CHECK_MESSAGE(report.failed == 0, texts(report));
  CHECK(report.passed > 0);
  CHECK(report_on(wrong, inputs).verdict() == Verdict::fail);
}

TEST_CASE("one case, one input and one seed can be repeated alone") {
  const Catalogue catalogue = builtin_catalogue();
  GradcheckOptions options;
  options.only_case = 1;
  options.only_input = 0;
  options.seed = 7;
  const GradcheckReport report = check_op(catalogue, "multiply", options);
  CHECK(report.verdict() == Verdict::pass);
  CHECK(report.checks == options.directions + options.entries);
  options.only_case = 1000;
  CHECK(contains(test::message_of<Error>([&] { check_op(catalogue, "multiply", options); }), "there is no case 1000"));
  CHECK(contains(test::message_of<Error>([&] { check_op(catalogue, "multiplly"); }), "did you mean 'multiply'"));
  const Catalogue wrong = with_changed_vjp("multiply", [](const VjpCall&, std::vector<Var> right) {
    if (right[1]) right[1] = right[1] * -1.0;
    return right;
  });
  options.only_case = -1;
  options.only_input = -1;
  const GradcheckReport found = check_op(wrong, "multiply", options, "check multiply");
  REQUIRE(found.verdict() == Verdict::fail);
  CHECK(found.findings[0].input == 1);
  CHECK(found.findings[0].command == "check multiply --case 0 --seed 7");
}

TEST_CASE("a model passes, of first and second order, and its parameters stay as they were") {
  for (const int order : {1, 2}) {
    GradcheckOptions options;
    options.order = order;
    const GradcheckReport report = check_small_network(options);
    CHECK_MESSAGE(report.verdict() == Verdict::pass, texts(report));
    CHECK(report.passed > 20);
    CHECK_FALSE(report.first_wrong_node);
  }
}

TEST_CASE("in a model the first wrong node is found and named") {
  struct Wrong {
    const char* op;
    const char* node;
  };
  for (const Wrong& wrong :
       {Wrong{"tanh", "[tanh 'hidden' tests/gradcheck_test.cpp:"}, Wrong{"relu", "[relu tests/gradcheck_test.cpp:"},
        Wrong{"multiply", "[multiply tests/gradcheck_test.cpp:"}, Wrong{"subtract", "[subtract tests/gradcheck_test.cpp:"}}) {
    const Catalogue catalogue = with_changed_vjp(wrong.op, [](const VjpCall&, std::vector<Var> right) {
      for (Var& gradient : right) gradient = gradient ? gradient * 1.05 : gradient;
      return right;
    });
    GradcheckOptions options;
    options.catalogue = &catalogue;
    const GradcheckReport report = check_small_network(options);
    CHECK(report.verdict() == Verdict::fail);
    REQUIRE(report.first_wrong_node);
    CHECK_MESSAGE(contains(report.first_wrong_node->node, wrong.node), report.first_wrong_node->text());
    CHECK(report.first_wrong_node->op == wrong.op);
    CHECK(contains(report.first_wrong_node->command, "wengert gradcheck small.toml --seed 1"));
  }
}

TEST_CASE("a wrong second derivative is found in a model, where the first is right") {
  // relu's gradient in ops whose own gradient is wrong: only the second order sees it.
  const Catalogue catalogue = with_changed_vjp("gate", [](const VjpCall&, std::vector<Var> right) {
    for (Var& gradient : right) gradient = gradient ? gradient * 3.0 : gradient;
    return right;
  });
  GradcheckOptions options;
  options.catalogue = &catalogue;
  CHECK(check_small_network(options).verdict() == Verdict::pass);
  options.order = 2;
  const GradcheckReport report = check_small_network(options);
  CHECK(report.verdict() == Verdict::fail);
  REQUIRE(report.first_wrong_node);
  CHECK(report.first_wrong_node->op == "gate");
}

TEST_CASE("gradients in f32 are compared with differences in f64, so that ties and rounding are told from errors") {
  GradcheckOptions options;
  options.dtype = DType::f32;
  const GradcheckReport report = check_small_network(options);
  CHECK_MESSAGE(report.verdict() == Verdict::pass, texts(report));
  CHECK(report.passed > 20);
  // A function that holds f32 values of its own cannot run in f64.
  const Tensor weight = normal({20}, "w", DType::f32);
  const auto mixed = [&](std::span<const Var> v) { return std::vector<Var>{tanh(v[0] * Var(weight))}; };
  const GradcheckReport narrow = report_on(mixed, {{normal({20}, "x", DType::f32), "x"}});
  CHECK_MESSAGE(narrow.failed == 0, texts(narrow));
  CHECK(narrow.passed > 0);
}

TEST_CASE("a model at kinks that cancel is inconclusive, a wrong gradient there fails, and so does a loss that is not finite") {
  // relu(x) - relu(-x) is x: differences give 1 where both gradients at 0 are 0 by convention.
  const auto cancelling = [](std::span<const Var> data) { return sum(relu(data[0]) - relu(data[0] * -1.0) + data[0] * 2.0); };
  const Tensor zeros = Tensor::zeros({4, 3}, DType::f64);
  const GradcheckReport report = check_model(cancelling, {zeros});
  CHECK_MESSAGE(report.verdict() == Verdict::inconclusive, texts(report));
  CHECK_FALSE(report.first_wrong_node);
  const Catalogue wrong = with_changed_vjp("subtract", [](const VjpCall&, std::vector<Var> right) {
    if (right[0]) right[0] = right[0] * 1.5;
    return right;
  });
  GradcheckOptions options;
  options.catalogue = &wrong;
  const auto subtracting = [&](std::span<const Var> data) { return sum(relu(data[0]) - data[0]); };
  CHECK(check_model(subtracting, {normal({4, 3}, "x")}, options).verdict() == Verdict::fail);
  const auto not_a_number = [](std::span<const Var> data) { return sum(log(data[0] * 0.0 - 1.0)); };
  const GradcheckReport none = check_model(not_a_number, {normal({4, 3}, "x")});
  CHECK(none.verdict() == Verdict::fail);
  CHECK_MESSAGE(contains(texts(none), "vacuous: the loss is not finite"), texts(none));
}
