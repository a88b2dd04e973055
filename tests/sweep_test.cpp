// The reverse sweep refuses what does not fit: vjps of another dtype or shape, cotangents of another tape. Constants stay constant.
#include <doctest/doctest.h>

#include <wengert/engine/structural.hpp>
#include <wengert/ops/activation.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/catalogue.hpp>
#include <wengert/ops/reduce.hpp>

#include "ops_support.hpp"

namespace wg = wengert;
using wg::Tape, wg::Tensor, wg::Var, wg::DType;
using wg::test::contains, wg::test::message_of;

namespace {

// tanh with another vjp.
wg::Catalogue with_tanh_vjp(std::vector<Var> (*vjp)(const wg::VjpCall&)) {
  wg::Catalogue catalogue = wg::builtin_catalogue();
  wg::Op op = catalogue.at("tanh");
  op.vjp = vjp;
  catalogue.replace(op);
  return catalogue;
}

std::string message_of_tanh_with(std::vector<Var> (*vjp)(const wg::VjpCall&)) {
  Tape tape(with_tanh_vjp(vjp));
  const Var x = tape.variable(Tensor{1.0, 2.0}, "x");
  const Var y = tanh(wg::At(x).named("squash"));
  return message_of([&] { return wg::gradients<1>(sum(y), {x}); });
}

}  // namespace

TEST_CASE("sweep: asking for the gradient by a constant's output does not open it") {
  Tape tape;
  const Var x = tape.variable(Tensor{3.0}, "x");
  const Var stopped = stop_gradient(x);
  const auto [dx, dstopped] = wg::gradients<2>(sum(stopped * x), {x, stopped});
  CHECK(dx.item() == 3);
  CHECK(dstopped.item() == 3);
  const Var mask = greater_equal(x, tape.constant(Tensor{1.0}));
  const auto [through, dmask] = wg::gradients<2>(sum(mask * x), {x, mask});
  CHECK(through.item() == 1);
  CHECK(dmask.item() == 3);
}

TEST_CASE("sweep: a vjp of another dtype or shape is refused, and the error begins with the node") {
  const std::string dtype =
      message_of_tanh_with([](const wg::VjpCall& call) { return std::vector<Var>{cast(call.cotangent(), DType::f32)}; });
  CHECK_MESSAGE(dtype.rfind("[tanh 'squash' ", 0) == 0, dtype);
  CHECK_MESSAGE(contains(dtype, "in its gradient: its vjp returned f32 (2) for input 0, f64 (2)"), dtype);
  const std::string shape = message_of_tanh_with([](const wg::VjpCall& call) { return std::vector<Var>{sum(call.cotangent())}; });
  CHECK_MESSAGE(contains(shape, "its vjp returned shape () for input 0 of shape (2)"), shape);
  const std::string inside = message_of_tanh_with([](const wg::VjpCall& call) { return std::vector<Var>{reshape(call.cotangent(), {3})}; });
  CHECK_MESSAGE(inside.rfind("[tanh 'squash' ", 0) == 0, inside);
  CHECK_MESSAGE(contains(inside, "in its gradient: [reshape"), inside);
}

TEST_CASE("sweep: cotangents are of the same recording, or values that become constants of it") {
  Tape tape, other;
  const Var x = tape.variable(Tensor{1.0}, "x"), y = x + tape.constant(Tensor{1.0});
  const auto pull = [&](const Var& cotangent) {
    wg::GradientOptions options;
    options.cotangents = {cotangent};
    return wg::gradients<1>(y, {x}, options)[0];
  };
  const std::string mixed = message_of([&] { return pull(other.constant(Tensor{1.0})); });
  CHECK_MESSAGE(contains(mixed, "[gradients] the cotangent of"), mixed);
  CHECK_MESSAGE(contains(mixed, "is on " + other.text() + ", the differentiated value on " + tape.text()), mixed);
  const Var given(Tensor{5.0});
  const Var dx = pull(given);
  REQUIRE(dx.recorded());
  CHECK(dx.tape() == tape);
  CHECK(dx.item() == 5);
  const Var forgotten = other.constant(Tensor{1.0});
  other.clear();
  CHECK(contains(message_of([&] { return pull(forgotten); }), "was cleared"));
  wg::GradientOptions values_only;
  values_only.cotangents = {given};
  values_only.record = false;
  CHECK_FALSE(wg::gradients<1>(y, {x}, values_only)[0].recorded());
}
