#include <wengert/engine/slope.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace wengert {

const char* name(Verdict verdict) {
  switch (verdict) {
    case Verdict::pass: return "pass";
    case Verdict::fail: return "fail";
    default: return "inconclusive";
  }
}

SlopePrecision SlopePrecision::of(DType dtype) {
  if (dtype == DType::f32) return {1.2e-7, 2e-3, 1e-5, 0.1, 1e-2, 1, 4, 8};
  return {2.3e-16, 1e-7, 1e-9, 1e-3, 1e-6, 4, 7, 15};
}

const Differences& SlopeLadder::at(int level) {
  const auto l = static_cast<std::size_t>(level);
  if (!measured_[l]) {
    known_[l] = differences_(std::ldexp(1.0, -2 * level));
    measured_[l] = true;
  }
  return known_[l];
}

// Central differences at steps h and h/4 err by a h^2 + O(h^4): fine + (fine - coarse) / 15 drops the first term. The difference of the
// one-sided slopes is f'' h + O(h^3) where f is smooth, so its extrapolation (4 fine - coarse) / 3 tends to 0, and to the jump at a kink.
Slope SlopeLadder::best(int from, int to) {
  constexpr double giving_up = 1000;  // times the least error so far: from there on it is rounding, which can agree by accident
  constexpr int tries = 3;            // levels in a row
  Slope best, previous;
  double least = std::numeric_limits<double>::infinity();
  int worse = 0;
  for (int level = from + 1; level <= to && worse < tries; ++level) {
    const double step = std::ldexp(1.0, -2 * level);
    const Differences coarse = at(level - 1), fine = at(level);
    const double left = fine.left / step, right = fine.right / step;
    const double coarse_left = coarse.left / (4 * step), coarse_right = coarse.right / (4 * step);
    const double central = left / 2 + right / 2, coarse_central = coarse_left / 2 + coarse_right / 2;
    Slope here{central + (central - coarse_central) / 15,
               left,
               right,
               (4 * (right - left) - (coarse_right - coarse_left)) / 3,
               std::max(0.0, (16 * fine.bend - coarse.bend) / (12 * step)),
               0,
               step,
               true};
    if (!std::isfinite(here.value) || !std::isfinite(here.jump)) {
      previous.finite = false;
      continue;
    }
    if (previous.finite) {
      here.error = std::abs(here.value - previous.value) + rounding_ / step;
      const double doubt = here.error + std::abs(here.jump) / 2;
      if (doubt < least) {
        least = doubt;
        best = here;
      }
      const bool converged = least <= 1e-6 * std::max(std::abs(best.left), std::abs(best.right));
      worse = converged && doubt > giving_up * least ? worse + 1 : 0;
    }
    previous = here;
  }
  return best;
}

Slope SlopeLadder::quick() { return best(precision_.first, precision_.last); }

Slope SlopeLadder::whole() {
  const Slope slope = best(0, precision_.finest);
  return slope.finite ? slope : best(precision_.finest - 2, levels - 1);  // f may end close by
}

namespace {

constexpr const char* several_kinks = "kinks of several terms: any slope between their left and right ones is right";

}  // namespace

Judgement judge(double analytic, double magnitude, const Slope& slope, const SlopePrecision& precision) {
  constexpr double safety = 4;  // the error of the slope is an estimate
  Judgement result;
  if (slope.finite && !std::isfinite(analytic)) return {Verdict::fail, false, false, "the analytic slope is not finite"};
  if (!slope.finite) return {Verdict::inconclusive, false, false, "the function is not finite around this point"};
  const double larger = std::max(std::abs(analytic), std::abs(slope.value));
  const double error = safety * slope.error + precision.cancelling * magnitude;
  const double jump = std::abs(slope.jump) / 2;
  result.kink = jump > error + precision.relative * larger;
  const double apart = std::abs(analytic - slope.value), tolerance = precision.relative * larger + error;
  if (!(apart <= tolerance + jump)) {
    const bool between = apart <= tolerance + slope.bend / 2;
    result.kink = result.kink || between;
    result.verdict = between ? Verdict::inconclusive : Verdict::fail;
    result.reason = between ? several_kinks : result.kink ? "the analytic slope is outside the left and right ones" : "the slopes differ";
    return result;
  }
  result.zero = larger <= error && !result.kink;
  constexpr double cancelled = 1e-3;  // terms that happen to cancel show as much as others
  const double shown = result.kink ? larger : std::max(larger, cancelled * magnitude);
  if (result.zero || error + jump <= precision.resolution * shown) return result;
  result.verdict = Verdict::inconclusive;
  result.reason = result.kink ? "a kink: the left and right slopes differ" : "rounding hides the slope";
  return result;
}

JudgedSlope judge_along(double analytic, double magnitude, std::function<Differences(double)> differences, double rounding,
                        const SlopePrecision& precision) {
  SlopeLadder ladder(std::move(differences), rounding, precision);
  const Slope quick = ladder.quick();
  const Judgement first = judge(analytic, magnitude, quick, precision);
  const bool flat = analytic == 0 && quick.left == 0 && quick.right == 0;
  const bool sharp = quick.error + std::abs(quick.jump) <= precision.settled * std::max(std::abs(analytic), std::abs(quick.value));
  if (first.verdict == Verdict::pass && (sharp || flat)) return {quick, first};
  const Slope slope = ladder.whole();
  return {slope, judge(analytic, magnitude, slope, precision)};
}

}  // namespace wengert
