// The numeric side of the gradient check: slopes from differences over a ladder of steps, with an estimate of their own error, and
// the verdict they allow on an analytic slope. It knows no tape and no op.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <wengert/engine/types.hpp>

namespace wengert {

enum class Verdict : std::uint8_t {
  pass,
  fail,
  inconclusive  // a kink with the analytic slope between the left and the right one, or a slope that differences cannot resolve
};
const char* name(Verdict verdict);

// f(x + h v) - f(x) and f(x) - f(x - h v); not finite where f is not.
struct Differences {
  double right = 0, left = 0;
  double bend = 0;  // the sum of |right - left| over the terms that f is a sum of, where they are known: at
                    // kinks of several terms the difference of the sums may cancel
};

// What differences say of the derivative of f along v at x.
struct Slope {
  double value = 0;            // of central differences, extrapolated
  double left = 0, right = 0;  // one-sided, at the chosen step
  double jump = 0;             // right minus left, extrapolated to step 0: 0 where f is smooth
  double bend = 0;             // the same of the terms: bounds what any choice of slopes at their kinks may differ by
  double error = 0;            // bound of value's error, the jump apart
  double step = 0;             // h
  bool finite = false;         // false: f is not finite on either side at any step
};

// Tolerances for functions computed in a dtype.
struct SlopePrecision {
  double epsilon;     // of the dtype
  double relative;    // analytic and numeric slope may differ by this part of the larger
  double cancelling;  // and by this part of the sum of the magnitudes of the terms of the analytic slope
  double resolution;  // a slope known less well than this part of itself decides nothing
  double settled;     // one known so well needs no more steps
  int first, last;    // levels of the ladder that are tried first: steps 4^-level
  int finest;         // the last level of the whole ladder
  static SlopePrecision of(DType dtype);
};

// f is called through its differences at steps 4^-level; `rounding` is the error that rounding f leaves in a difference.
// The whole ladder is tried from the coarse end; the level whose error bound is least gives the slope.
class SlopeLadder {
 public:
  SlopeLadder(std::function<Differences(double step)> differences, double rounding, const SlopePrecision& precision)
      : differences_(std::move(differences)), rounding_(rounding), precision_(precision) {}

  Slope quick();  // from a few levels in the middle: enough for most smooth functions
  Slope whole();

 private:
  static constexpr int levels = 26;
  const Differences& at(int level);
  Slope best(int from, int to);

  std::function<Differences(double)> differences_;
  double rounding_;
  SlopePrecision precision_;
  Differences known_[levels] = {};
  bool measured_[levels] = {};
};

struct Judgement {
  Verdict verdict = Verdict::pass;
  bool zero = false;        // both slopes are zero within the error: it agrees, but shows nothing
  bool kink = false;        // the one-sided slopes differ
  std::string reason = {};  // of a fail or inconclusive, in a few words
};

// `magnitude`: the sum of the magnitudes of the terms of the analytic slope, sum |gradient_i v_i|.
Judgement judge(double analytic, double magnitude, const Slope& slope, const SlopePrecision& precision);

// The quick ladder where it suffices for a pass, else the whole one.
struct JudgedSlope {
  Slope slope;
  Judgement judgement;
};
JudgedSlope judge_along(double analytic, double magnitude, std::function<Differences(double step)> differences, double rounding,
                        const SlopePrecision& precision);

}  // namespace wengert
