// Tapes: what they keep and give back, declaring ones, and errors that name values and places.
#include <doctest/doctest.h>

#include <malloc.h>

#include <wengert/engine/gradients.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/ops/activation.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/reduce.hpp>

#include "ops_support.hpp"
#include "sanitizers.hpp"

namespace {

using namespace wengert;
using wengert::test::contains;
using wengert::test::message_of;

// Bytes that the program has in use, as the allocator counts them.
std::size_t bytes_in_use() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

}  // namespace

TEST_CASE("the memory of a released tape is returned") {
  if (test::sanitized) return;
  const auto work = [] {
    Tape tape;
    const Var x = tape.variable(Tensor::full({256, 256}, 0.5), "x");
    Var y = x;
    for (int i = 0; i < 200; ++i) y = tanh(y);
    gradients<1>(sum(y), {x});
  };
  work();  // what is kept for good is there now
  const std::size_t before = bytes_in_use();
  for (int i = 0; i < 3; ++i) work();
  const std::size_t after = bytes_in_use();
  CHECK(after < before + (1u << 20));  // one run holds 100 MB
}

TEST_CASE("a Var keeps its tape alive") {
  Var y;
  {
    Tape tape;
    y = tape.variable({1.0, 2.0}, "x") * 3.0;
  }
  CHECK(y.value().at(1) == 6);
  const auto [dy] = gradients<1>(sum(y), {y.tape().var(0)});
  CHECK(dy.value().at(0) == 3);
}

TEST_CASE("mixing tapes, cleared tapes and empty Vars are errors that name them") {
  Tape one, two;
  const Var x = one.variable({1.0, 2.0}, "x"), y = two.variable({1.0, 2.0}, "y");
  const std::string mixed = message_of([&] { x + y; });
  CHECK_MESSAGE(contains(mixed, one.text()), mixed);
  CHECK_MESSAGE(contains(mixed, two.text()), mixed);
  CHECK_MESSAGE(contains(mixed, "tape_test.cpp:"), mixed);
  CHECK(contains(message_of([&] { gradients<1>(sum(x), {y}); }), two.text()));
  CHECK(contains(message_of([&] { add(x, Var()); }), "empty Var"));
  one.clear();
  const std::string cleared = message_of([&] { x + x; });
  CHECK_MESSAGE(contains(cleared, one.text() + " was cleared"), cleared);
  CHECK(contains(message_of([&] { x.value(); }), "cleared"));
  CHECK(contains(message_of([&] { gradients<1>(x, {x}); }), "cleared"));
}

TEST_CASE("a declaring tape gives shapes and no values") {
  Tape tape(Tape::Mode::declaring);
  const Var x = tape.variable(Tensor::zeros({4, 3}), "x");
  const Var y = tanh(x) * x;
  CHECK(y.shape() == Shape{4, 3});
  const auto [dx] = gradients<1>(sum(y), {x});
  CHECK(dx.shape() == Shape{4, 3});
  const std::string message = message_of([&] { y.value(); });
  CHECK_MESSAGE(contains(message, "no value"), message);
  CHECK_MESSAGE(contains(message, "[multiply"), message);
  CHECK(contains(message_of([&] { x.item(); }), "no value"));
  CHECK(contains(message_of([&] { x + tape.variable(Tensor::zeros({5}), "b"); }), "(5)"));
}

TEST_CASE("shapes and dtypes that do not fit name the op, the place and the inputs") {
  Tape tape;
  const Var a = tape.variable(Tensor::zeros({2, 3}, DType::f64), "a"), b = tape.variable(Tensor::zeros({4}, DType::f64), "b");
  const std::string shapes = message_of([&] { a* b; });
  for (const char* part : {"[multiply", "tape_test.cpp:", "(2,3) from 'a'", "(4) from 'b'"}) CHECK_MESSAGE(contains(shapes, part), shapes);
  const std::string dtypes = message_of([&] { a + tape.variable(Tensor::zeros({2, 3}), "c"); });
  for (const char* part : {"[add", "f64", "f32", "'c'"}) CHECK_MESSAGE(contains(dtypes, part), dtypes);
  CHECK(contains(message_of([&] { exp(tape.variable({1, 2}, "i")); }), "wanted f32 or f64"));
  CHECK(contains(message_of([&] { reshape(a, {4, -1}); }), "do not divide by 4"));
  CHECK(contains(message_of([&] { tape.batch(Tensor::scalar(1), "images"); }), "[batch 'images']"));
}
