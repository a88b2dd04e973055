// Conversions between dtypes neither wrap nor leave anything undefined, and integers print exactly.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include <wengert/engine/structural.hpp>
#include <wengert/ops/shape.hpp>

#include "ops_support.hpp"

namespace wg = wengert;
using wg::Tape, wg::Tensor, wg::Var, wg::DType;
using wg::test::contains, wg::test::message_of, wg::test::values, wg::test::List;

TEST_CASE("conversion: casts to integers drop the fraction and refuse what does not fit") {
  Tape tape;
  CHECK(values(cast(tape.constant(Tensor{255.9f, -0.5f, 1.5f}), DType::u8)) == List{255, 0, 1});
  CHECK(values(cast(tape.constant(Tensor{-2147483648.9, 2147483647.9, -1.5}), DType::i32)) == List{-2147483648.0, 2147483647, -1});
  const auto refusal = [&](const Tensor& x, DType to) {
    const std::string direct = message_of([&] { x.cast(to); }), recorded = message_of([&] { cast(tape.constant(x, "x"), to); });
    CHECK_MESSAGE(contains(direct, "[tensor] wanted a value that "), direct);
    CHECK_MESSAGE(contains(recorded, "[cast "), recorded);
    CHECK_MESSAGE(contains(recorded, "from 'x'"), recorded);
    return recorded;
  };
  CHECK(contains(refusal(Tensor{300.7f}, DType::u8), "wanted a value that u8 holds, got 300.7"));
  CHECK(contains(refusal(Tensor{-1.0f}, DType::u8), "u8 holds, got -1"));
  CHECK(contains(refusal(Tensor{1e20f}, DType::i32), "i32 holds, got 1"));
  CHECK(contains(refusal(Tensor{2147483648.0}, DType::i32), "i32 holds, got 2147483648"));
  CHECK(contains(refusal(Tensor{std::numeric_limits<double>::quiet_NaN()}, DType::i32), "i32 holds, got nan"));
  CHECK(contains(refusal(Tensor{300}, DType::u8), "u8 holds, got 300"));
  CHECK(std::isinf(cast(tape.constant(Tensor{1e300}), DType::f32).value().at(0)));  // as arithmetic rounds it
}

TEST_CASE("conversion: what a program fills a tensor with is a value of its dtype") {
  Tape tape, declaring(Tape::Mode::declaring);
  CHECK(Tensor::full({1}, -7, DType::i32).at(0) == -7);
  CHECK(contains(message_of([] { Tensor::full({2}, 300, DType::u8); }), "[tensor] wanted a value that u8 holds, got 300"));
  CHECK(contains(message_of([] { Tensor::full({1}, 2.5, DType::i32); }), "[tensor] wanted a whole number as i32, got 2.5"));
  CHECK(contains(message_of([] { Tensor::scalar(std::nan(""), DType::i32); }), "i32 holds, got nan"));
  for (const Tape& on : {tape, declaring}) {
    CHECK(contains(message_of([&] { fill(on, {2}, -1e30, DType::i32); }), "[fill] wanted a value that i32 holds, got -1e+30"));
    const Var x = Tape(on).constant(Tensor{1, 2});
    CHECK(contains(message_of([&] { pad(x, {1}, {0}, 0.5); }), "wanted a whole number as i32, got 0.5"));
    CHECK(contains(message_of([&] { pad(x, {1}, {0}, -3e9); }), "[pad "));
  }
}

TEST_CASE("conversion: integers print exactly") {
  CHECK(Tensor{1234567, -2147483647}.text() == "i32 (2) [1234567, -2147483647]");
  CHECK(Tensor{1234567.0, 0.5}.text() == "f64 (2) [1.23457e+06, 0.5]");
}
