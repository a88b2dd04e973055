// Errors from below an op (shapes, buffers, attributes) come out with the op, its name, its place and its inputs.
#include <doctest/doctest.h>

#include <wengert/engine/structural.hpp>
#include <wengert/ops/catalogue.hpp>
#include <wengert/ops/index.hpp>

#include "ops_support.hpp"

namespace wg = wengert;
using wg::At, wg::Tape, wg::Tensor, wg::Var, wg::DType, wg::Shape, wg::Index;
using wg::test::contains, wg::test::message_of;

TEST_CASE("messages: shapes and buffers that are too large name the op") {
  Tape tape;
  const Var x = tape.variable(Tensor{1.0}, "x");
  const auto check = [](const std::string& message, const std::string& wanted) {
    CHECK_MESSAGE(contains(message, "messages_test.cpp:"), message);
    CHECK_MESSAGE(contains(message, wanted), message);
  };
  check(message_of([&] { broadcast_to(At(x).named("wide"), {Index{1} << 50, 1}); }), "] wanted a tensor of at most 2^46 bytes, got f64 (");
  check(message_of([&] { broadcast_to(x, {Index{1} << 40, Index{1} << 40}); }), "] wanted a shape whose elements can be counted, got (");
  const Var deep = tape.constant(Tensor::zeros({1, 1, 1, 1, 1, 1, 1, 1}, DType::i32));
  check(message_of([&] { one_hot(deep, 3); }), "] wanted a shape of at most 8 axes, got more");
  CHECK(contains(message_of([&] { broadcast_to(At(x).named("wide"), {Index{1} << 50, 1}); }), "[broadcast_to 'wide' "));
  CHECK(contains(message_of([&] { broadcast_to(x, {Index{1} << 50, 1}); }), "f64 (1) from 'x'"));
}

TEST_CASE("messages: reshape names its node, whatever is wrong with the sizes") {
  Tape tape;
  const At x = At(tape.variable(Tensor{1.0, 2.0}, "x")).named("flat");
  for (const std::initializer_list<Index> sizes : {std::initializer_list<Index>{4, -1}, {-1, -1}, {-2, -1}, {3}, {0, -1}}) {
    const std::string message = message_of([&] { reshape(x, sizes); });
    CHECK_MESSAGE(message.rfind("[reshape 'flat' ", 0) == 0, message);
  }
  CHECK(reshape(x, {-1, 1}).shape() == Shape{2, 1});
}

TEST_CASE("messages: attributes of another type are refused, in every build") {
  Tape tape;
  const wg::Catalogue catalogue = wg::builtin_catalogue();
  const Var x = tape.variable(Tensor{2.0}, "x");
  const std::string none = message_of([&] { apply(catalogue.at("power"), {}, {x}); });
  CHECK_MESSAGE(contains(none, "[power] wanted "), none);
  CHECK_MESSAGE(contains(none, "Attributes"), none);
  CHECK_MESSAGE(contains(none, "got none"), none);
  const std::string other = message_of([&] { apply(catalogue.at("power"), wg::PoolAttributes{}, {x}); });
  CHECK_MESSAGE(contains(other, "got wengert::PoolAttributes"), other);
}
