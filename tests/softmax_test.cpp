// Softmax and its cross entropy far from zero, where the largest logit swallows the logarithm of the sum beside it.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include <wengert/ops/reduce.hpp>
#include <wengert/ops/softmax.hpp>

#include "ops_support.hpp"

namespace wg = wengert;
using wg::Tape, wg::Tensor, wg::Var, wg::Index;
using wg::test::contains, wg::test::message_of, wg::test::values, wg::test::List;

namespace {

// (1,n) of f32.
Var logits_on(Tape& tape, const std::vector<float>& row) {
  return tape.variable(Tensor::copy(row.data(), {1, static_cast<Index>(row.size())}));
}

}  // namespace

TEST_CASE("softmax: large logits keep their differences in f32") {
  Tape tape;
  for (const float base : {0.0f, 1e4f, 1e8f, -1e8f}) {
    CAPTURE(base);
    const Var equal = logits_on(tape, {base, base, base});
    for (const double p : values(softmax(equal))) CHECK(p == doctest::Approx(1.0 / 3.0));
    for (const double p : values(log_softmax(equal))) CHECK(p == doctest::Approx(-std::log(3.0)));
    const Var loss = softmax_cross_entropy(equal, tape.constant({1}));
    CHECK(loss.item() == doctest::Approx(std::log(3.0)));
    const List slopes = values(wg::gradients<1>(sum(loss), {equal})[0]);
    CHECK(slopes[0] == doctest::Approx(1.0 / 3.0));
    CHECK(slopes[1] == doctest::Approx(-2.0 / 3.0));
  }
  const Var apart = logits_on(tape, {1e4f, 9999.0f});
  CHECK(sum(softmax(apart)).item() == doctest::Approx(1.0));
  CHECK(softmax_cross_entropy(apart, tape.constant({1})).item() == doctest::Approx(1.0 + std::log1p(std::exp(-1.0))));
  CHECK(softmax_cross_entropy(apart, tape.constant(Tensor{{0.5f, 0.5f}})).item() == doctest::Approx(0.5 + std::log1p(std::exp(-1.0))));
}

TEST_CASE("softmax: a wrong class is named by its image in the batch, however the batch is cut") {
  Tape tape;
  std::vector<std::int32_t> classes(64, 0);
  classes[50] = 99;
  const Var labels = tape.batch(Tensor::copy(classes.data(), {64})), logits = tape.batch(Tensor::zeros({64, 10}));
  const std::string message = message_of([&] { softmax_cross_entropy(logits, labels); });
  CHECK_MESSAGE(contains(message, "wanted labels in [0,10), got 99 for image 50;"), message);
}
