// The verdict of the gradient check on functions whose derivatives are known.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <wengert/engine/random.hpp>
#include <wengert/engine/slope.hpp>

namespace {

using namespace wengert;

// The verdict on `analytic` as the derivative of f at x, with steps on the scale of x as the check takes them.
Judgement verdict_on(const std::function<double(double)>& f, double x, double analytic) {
  const double scale = x == 0 ? 1.0 : std::abs(x), value = f(x);
  const auto differences = [&](double step) { return Differences{f(x + step * scale) - value, value - f(x - step * scale)}; };
  const SlopePrecision precision = SlopePrecision::of(DType::f64);
  const double term = analytic * scale, wobble = std::isfinite(term) ? std::abs(term) : 0.0;
  const double rounding = precision.epsilon * (2 * std::abs(value) + wobble);
  return judge_along(term, std::abs(term), differences, rounding, precision).judgement;
}

struct Known {
  const char* name;
  std::function<double(double)> f, derivative;
  std::vector<double> points;
  bool rounds_off = false;
};

std::vector<Known> smooth_functions() {
  const auto one = [](double) { return 1.0; };
  return {
      {"x|x|", [](double x) { return x * std::abs(x); }, [](double x) { return 2 * std::abs(x); }, {1e-6, -0.3, 7}},
      {"cubic", [](double x) { return x * x * x - 2 * x; }, [](double x) { return 3 * x * x - 2; }, {-1.5, 0, 0.1, 2, 1000}},
      {"exp", [](double x) { return std::exp(x); }, [](double x) { return std::exp(x); }, {-30, -1, 0, 1, 100, 690}},
      {"log", [](double x) { return std::log(x); }, [](double x) { return 1 / x; }, {1e-12, 0.5, 1e9}},
      {"sqrt", [](double x) { return std::sqrt(x); }, [](double x) { return 0.5 / std::sqrt(x); }, {1e-300, 1e-8, 1, 1e12}},
      {"tanh", [](double x) { return std::tanh(x); }, [](double x) { return 1 - std::tanh(x) * std::tanh(x); }, {-2, 0, 0.3, 5}},
      {"reciprocal", [](double x) { return 1 / x; }, [](double x) { return -1 / (x * x); }, {1e-5, -3, 1e7}},
      {"fast sine", [](double x) { return std::sin(1000 * x); }, [](double x) { return 1000 * std::cos(1000 * x); }, {0.1, 1, 2.5}},
      {"huge and flat", [](double x) { return 1e10 + x; }, one, {-4, 0, 1, 50}, true},
      {"cancelling", [](double x) { return (1e8 + x) - 1e8; }, one, {0.7, 3}, true},
      {"huge input", [](double x) { return x; }, one, {1e15, -3e20, 1e-20}},
      {"integers", [](double x) { return 3 * x * x; }, [](double x) { return 6 * x; }, {1, 2, 3, 255, 65536}},
      {"relu, off its kink", [](double x) { return std::max(x, 0.0); }, [](double x) { return x > 0 ? 1.0 : 0.0; }, {1e-3, 0.5, 2}},
      {"near a kink", [](double x) { return std::abs(x - 1.001) + x; }, [](double x) { return x > 1.001 ? 2.0 : 0.0; }, {1.00101, 1.1, 5}},
  };
}

}  // namespace

TEST_CASE("right derivatives pass and wrong ones fail") {
  for (const Known& known : smooth_functions()) {
    for (const double x : known.points) {
      CAPTURE(std::string(known.name));
      CAPTURE(x);
      const double derivative = known.derivative(x);
      const Judgement right = verdict_on(known.f, x, derivative);
      CHECK_MESSAGE(right.verdict == Verdict::pass, right.reason);
      CHECK_FALSE(right.zero);
      for (const double factor : {1.01, 0.99, -1.0, 2.0, 0.0}) {
        CAPTURE(factor);
        CHECK(verdict_on(known.f, x, factor * derivative).verdict == Verdict::fail);
      }
    }
  }
}

TEST_CASE("an error of one in ten thousand fails") {
  for (const Known& known : smooth_functions()) {
    if (known.rounds_off) continue;  // its value is too coarse for that
    for (const double x : known.points) {
      CAPTURE(std::string(known.name));
      CAPTURE(x);
      const double derivative = known.derivative(x);
      CHECK(verdict_on(known.f, x, 1.0001 * derivative).verdict == Verdict::fail);
    }
  }
}

TEST_CASE("at a kink what lies between the one-sided slopes is inconclusive, what lies outside fails") {
  const auto magnitude = [](double x) { return std::abs(x); };
  const auto relu = [](double x) { return std::max(x, 0.0); };
  for (const double slope : {-1.0, -0.5, 0.0, 0.9, 1.0}) {
    CAPTURE(slope);
    const Judgement judgement = verdict_on(magnitude, 0, slope);
    CHECK(judgement.verdict == Verdict::inconclusive);
    CHECK(judgement.kink);
  }
  for (const double slope : {-1.01, 1.01, 2.0, -7.0}) CHECK(verdict_on(magnitude, 0, slope).verdict == Verdict::fail);
  for (const double slope : {0.0, 0.5, 1.0}) CHECK(verdict_on(relu, 0, slope).verdict == Verdict::inconclusive);
  for (const double slope : {-0.1, 1.1}) CHECK(verdict_on(relu, 0, slope).verdict == Verdict::fail);
  // A kink nearer than any step that rounding allows.
  const auto close = [](double x) { return std::abs(x - 1 - 1e-13); };
  CHECK(verdict_on(close, 1, -1).verdict == Verdict::inconclusive);
  CHECK(verdict_on(close, 1, -3).verdict == Verdict::fail);
  // A small kink on a smooth slope is one too.
  const auto slight = [](double x) { return std::exp(x) + 1e-3 * std::abs(x); };
  CHECK(verdict_on(slight, 0, 1).verdict == Verdict::inconclusive);
  CHECK(verdict_on(slight, 0, 1.01).verdict == Verdict::fail);
}

TEST_CASE("what is zero on both sides agrees and shows nothing") {
  const auto constant = [](double) { return 4.0; };
  const Judgement right = verdict_on(constant, 2, 0);
  CHECK(right.verdict == Verdict::pass);
  CHECK(right.zero);
  CHECK(verdict_on(constant, 2, 1e-3).verdict == Verdict::fail);
  const Judgement off = verdict_on([](double x) { return std::max(x, 0.0); }, -0.5, 0);
  CHECK(off.verdict == Verdict::pass);
  CHECK(off.zero);
  const Judgement flat = verdict_on([](double x) { return x * std::abs(x); }, 0, 0);  // once differentiable, not twice
  CHECK(flat.verdict == Verdict::pass);
  CHECK(verdict_on([](double x) { return x * std::abs(x); }, 0, 1).verdict == Verdict::fail);
  CHECK(verdict_on([](double x) { return x * x; }, 0, 0).zero);
}

TEST_CASE("where rounding hides the slope the verdict is inconclusive") {
  const auto buried = [](double x) { return 1e18 + x; };
  const Judgement judgement = verdict_on(buried, 1, 500);
  CHECK((judgement.verdict == Verdict::inconclusive || judgement.zero));
}

TEST_CASE("a NaN or infinite analytic slope fails, a function that is not finite is inconclusive") {
  const auto square = [](double x) { return x * x; };
  CHECK(verdict_on(square, 1, std::numeric_limits<double>::quiet_NaN()).verdict == Verdict::fail);
  CHECK(verdict_on(square, 1, std::numeric_limits<double>::infinity()).verdict == Verdict::fail);
  const auto nowhere = [](double) { return std::numeric_limits<double>::quiet_NaN(); };
  CHECK(verdict_on(nowhere, 1, 1).verdict == Verdict::inconclusive);
}

// Many relus, as in a network: some kink is always near.
TEST_CASE("a sum of a thousand kinked terms along random directions gives no false alarm and hides no error") {
  constexpr std::size_t terms = 1000;
  const SlopePrecision precision = SlopePrecision::of(DType::f64);
  int inconclusive = 0;
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    std::vector<double> x(terms), v(terms);
    fill_normal(random_stream(seed, "x"), x, 0.0, 1.0);
    fill_normal(random_stream(seed, "v"), v, 0.0, 1.0);
    const auto along = [&](double step) {
      Differences change;
      for (std::size_t i = 0; i < terms; ++i) {
        change.right += std::max(x[i] + step * v[i], 0.0) - std::max(x[i], 0.0);
        change.left += std::max(x[i], 0.0) - std::max(x[i] - step * v[i], 0.0);
      }
      return change;
    };
    double slope = 0, magnitude = 0;
    for (std::size_t i = 0; i < terms; ++i) {
      slope += x[i] > 0 ? v[i] : 0.0;
      magnitude += x[i] > 0 ? std::abs(v[i]) : 0.0;
    }
    const double rounding = precision.epsilon * 2 * std::sqrt(static_cast<double>(terms));
    CAPTURE(seed);
    const Verdict right = judge_along(slope, magnitude, along, rounding, precision).judgement.verdict;
    CHECK(right != Verdict::fail);
    if (right == Verdict::inconclusive) ++inconclusive;
    std::size_t wrong = seed;
    while (x[wrong] <= 0 || std::abs(v[wrong]) < 0.1) ++wrong;
    CHECK(judge_along(slope + 0.01 * v[wrong], magnitude, along, rounding, precision).judgement.verdict == Verdict::fail);
  }
  CHECK(inconclusive == 0);
}
