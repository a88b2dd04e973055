// The reverse sweep: long chains, several outputs, gradients of gradients, and requests that have no answer.
#include <doctest/doctest.h>

#include <wengert/engine/context.hpp>
#include <wengert/engine/gradients.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/ops/activation.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/reduce.hpp>

#include "ops_support.hpp"

namespace {

using namespace wengert;
using wengert::test::contains;
using wengert::test::message_of;

// An op with two outputs, (x + x, x + 1): the library's own with several keep one of them as a by-product.
Op two_outputs_op() {
  Op op;
  op.name = "double_and_next";
  op.smoothness = Op::Smoothness::multilinear;
  op.shapes = [](const OpQuery& query) { return std::vector<Spec>{query.inputs[0], query.inputs[0]}; };
  op.vjp = [](const VjpCall& call) {
    const Var first = call.cotangent(0) ? call.cotangent(0) * 2.0 : Var();
    if (!call.cotangent(1)) return std::vector<Var>{first};
    return std::vector<Var>{first ? first + call.cotangent(1) : call.cotangent(1)};
  };
  op.batch = [](const BatchQuery&) { return BatchEffect::per_image(); };
  Kernel naive;
  naive.run = [](const KernelCall& call) {
    visit_float(call.input(0).dtype, [&](auto zero) {
      using T = decltype(zero);
      for (Index i = 0; i < call.input(0).elements(); ++i) {
        call.output(0).write<T>()[i] = 2 * call.input(0).read<T>()[i];
        call.output(1).write<T>()[i] = call.input(0).read<T>()[i] + 1;
      }
    });
  };
  op.kernels = {naive};
  op.samples = [] { return std::vector<Sample>{}; };
  return op;
}

}  // namespace

TEST_CASE("a chain of a million additions is differentiated without recursion") {
  Tape tape;
  const Var x = tape.variable(Tensor::scalar(1.0, DType::f64), "x");
  Var y = x;
  constexpr int terms = 1'000'000;
  for (int i = 0; i < terms; ++i) y = y + x;
  CHECK(y.item() == terms + 1);
  const auto [dx] = gradients<1>(y, {x}, {{}, false, false});
  CHECK(dx.item() == terms + 1);
}

TEST_CASE("stop_gradient and a scope without recording") {
  Tape tape;
  const Var x = tape.variable({2.0, 3.0}, "x");
  const auto [through] = gradients<1>(sum(x * stop_gradient(x)), {x});
  CHECK(through.value().at(0) == 2);  // not 4
  CHECK(contains(message_of([&] { gradients<1>(sum(stop_gradient(x)), {x}); }), "does not depend on 'x'"));
  const Index before = tape.size();
  Var y;
  {
    const NoRecording scope;
    y = x * x;
    CHECK_FALSE(y.recorded());
    CHECK(y.value().at(1) == 9);
  }
  CHECK(tape.size() == before);
  CHECK((x * x).recorded());
  CHECK(contains(message_of([&] { gradients<1>(sum(y), {x}); }), "recorded"));
  const auto [with_constant] = gradients<1>(sum(x * y), {x});  // y takes part as a constant
  CHECK(with_constant.value().at(1) == 9);
}

TEST_CASE("several outputs and several losses") {
  Tape tape;
  const Var x = tape.variable({1.0, 5.0}, "x");
  static const Op op = two_outputs_op();
  const std::vector<Var> outputs = apply(op, {}, {x});
  REQUIRE(outputs.size() == 2);
  CHECK(outputs[1].value().at(1) == 6);
  CHECK(gradients<1>(sum(outputs[0]), {x})[0].value().at(0) == 2);
  CHECK(gradients<1>(sum(outputs[1]), {x})[0].value().at(0) == 1);
  const std::vector<Var> losses = {sum(outputs[0]), sum(outputs[1] * outputs[1])};
  CHECK(gradients(losses, std::vector<Var>{x})[0].value().at(1) == 2 + 2 * 6);
  const Var cotangent(Tensor{10.0, 100.0});
  GradientOptions options;
  options.cotangents = {cotangent, Var()};
  CHECK(gradients(outputs, std::vector<Var>{x}, options)[0].value().at(1) == 200);
}

TEST_CASE("a gradient is a Var again") {
  Tape tape;
  const Var x = tape.variable(Tensor::scalar(2.0, DType::f64), "x");
  const Var y = x * x * x;
  const Var dy = gradients<1>(y, {x})[0];
  CHECK(dy.item() == 12);
  const Var ddy = gradients<1>(dy, {x})[0];
  CHECK(ddy.item() == 12);
  CHECK(gradients<1>(ddy, {x})[0].item() == 6);
  CHECK(gradients<2>(x + x, {x, x})[1].item() == 2);  // the same variable twice
  const Var intermediate = x * 5.0;
  CHECK(gradients<1>(intermediate * intermediate, {intermediate})[0].item() == 20);
}

TEST_CASE("gradient requests that have no answer are errors") {
  Tape tape;
  const Var x = tape.variable({1.0, 2.0}, "x"), unused = tape.variable({3.0}, "spare"), whole = tape.variable({1, 2}, "labels");
  const Var y = sum(x);
  const std::string not_used = message_of([&] { gradients<1>(y, {unused}); });
  CHECK_MESSAGE(contains(not_used, "'spare'"), not_used);
  CHECK_MESSAGE(contains(not_used, "zero_unused"), not_used);
  GradientOptions options;
  options.zero_unused = true;
  const auto [zero] = gradients<1>(y, {unused}, options);
  CHECK(zero.value().at(0) == 0);
  CHECK(zero.spec() == unused.spec());
  const std::string integers = message_of([&] { gradients<1>(y, {whole}); });
  CHECK_MESSAGE(contains(integers, "integers have no gradient"), integers);
  CHECK_MESSAGE(contains(integers, "'labels'"), integers);
  const std::string vector = message_of([&] { gradients<1>(x * 2.0, {x}); });
  CHECK_MESSAGE(contains(vector, "not a scalar"), vector);
  options.cotangents = {Var(Tensor{1.0})};
  CHECK(contains(message_of([&] { gradients<1>(x * 2.0, {x}, options); }), "wanted a cotangent f64 (2)"));
  CHECK(contains(message_of([&] { gradients<1>(y, {Var()}); }), "empty"));
}

TEST_CASE("the nodes of a vjp bear the forward node's name with a prime and its place") {
  Tape tape;
  const Var x = tape.variable({1.0}, "x");
  const Var y = tanh(x).named("activation");
  const Index forward = y.node(), before = tape.size();
  gradients<1>(sum(y), {x});
  bool found = false;
  for (Index id = before; id < tape.size(); ++id) {
    const Node& node = tape.node(id);
    if (node.origin != forward) continue;
    found = true;
    CHECK(node.name == "activation'");
    CHECK(node.site.line == tape.node(forward).site.line);
  }
  CHECK(found);
}
