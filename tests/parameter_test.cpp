// Parameters on tapes: shared, assigned, bound to another value.
#include <doctest/doctest.h>

#include <wengert/engine/context.hpp>
#include <wengert/engine/gradients.hpp>
#include <wengert/engine/parameter.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/reduce.hpp>

#include "ops_support.hpp"

using namespace wengert;
using wengert::test::contains;
using wengert::test::message_of;

TEST_CASE("a parameter that is used twice sums its gradients, and names are unique") {
  Tape tape;
  Parameter w("w", {2}, Initial::constant(3));
  const Var x = tape.variable({1.0f, 2.0f}, "x");
  const Var first = w.on(x), second = w.on(x);
  CHECK(first.node() == second.node());
  const Var loss = sum(first * x) + sum(second * second);
  CHECK(gradients<1>(loss, {first})[0].value().at(1) == 2 + 2 * 3);
  REQUIRE(tape.parameters().size() == 1);
  CHECK(tape.parameters()[0] == w);
  const Parameter copy = w;  // shares
  copy.on(x);
  CHECK(tape.parameters().size() == 1);
  const Parameter other = w.clone();
  const std::string message = message_of([&] { other.on(x); });
  CHECK_MESSAGE(contains(message, "'w'"), message);
  CHECK_MESSAGE(contains(message, "unique"), message);
}

TEST_CASE("assign changes the parameter, not what was read before") {
  Tape tape;
  Parameter w("w", {2}, Initial::constant(1));
  const Var x = tape.variable({1.0f, 1.0f}, "x"), read = w.on(x);
  assign(w, read * 5.0);
  CHECK(w.value().at(0) == 5);
  CHECK(read.value().at(0) == 1);
  CHECK(w.version() == 1);
  CHECK(contains(message_of([&] { assign(w, tape.variable({1.0f}, "short")); }), "[assign 'w'"));
  CHECK(contains(message_of([&] { w.set_value(Tensor{1.0, 2.0}); }), "wanted f32 (2), got f64 (2)"));
  Tape declaring(Tape::Mode::declaring);
  const Var declared = declaring.variable(Tensor::zeros({2}), "x");
  assign(w, w.on(declared) * 2.0);
  CHECK(w.value().at(0) == 5);
}

TEST_CASE("a bound parameter is differentiated and run in another dtype") {
  Tape tape;
  const Parameter w("w", {2}, Initial::constant(1));
  const Var stand_in = tape.variable({4.0, 5.0}, "w");
  tape.bind(w, stand_in);
  const Var x = tape.variable({1.0, 2.0}, "x");
  CHECK(gradients<1>(sum(w.on(x) * x), {stand_in})[0].value().at(1) == 2);
  CHECK(contains(message_of([&] { tape.bind(w, tape.variable({1.0}, "w")); }), "wanted shape (2), got (1)"));
  const std::string late = message_of([&] { tape.bind(w, stand_in); });
  CHECK_MESSAGE(contains(late, "[parameter 'w'] was read on " + tape.text() + " already"), late);
  const NoRecording scope;
  CHECK(w.on(x).dtype() == DType::f32);  // its own value, and no promotion
  CHECK(contains(message_of([&] { w.on(x) * x; }), "wanted inputs of one dtype"));
}
