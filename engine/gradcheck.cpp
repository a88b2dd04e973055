#include <wengert/engine/gradcheck.hpp>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <wengert/engine/context.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/gradients.hpp>
#include <wengert/engine/random.hpp>
#include <wengert/engine/weighted_function.hpp>

namespace wengert {

namespace {

bool all_integers(const Values& values, DType dtype) {
  const double exact = dtype == DType::f64 ? 0x1p53 : 0x1p24;
  return std::all_of(values.begin(), values.end(), [exact](double value) { return value == std::trunc(value) && std::abs(value) < exact; });
}

class FunctionCheck {
 public:
  FunctionCheck(const GradcheckFunction& function, const std::vector<GradcheckInput>& inputs, const GradcheckOptions& options,
                const GradcheckSubject& subject)
      : function_(function, inputs, options, subject.multilinear), inputs_(inputs), options_(options), subject_(subject) {}

  GradcheckReport run() {
    if (function_.empty()) return report_;
    for (std::size_t i = 0; i < inputs_.size() && !enough(); ++i) {
      if (options_.only_input >= 0 && options_.only_input != static_cast<Index>(i)) continue;
      if (!gradients()[i].empty()) check_input(i);
    }
    if (options_.only_input < 0 && !subject_.multilinear) {
      for (int d = 0; d < std::min(options_.directions, 2) && !enough(); ++d) {
        Direction joint(inputs_.size());
        for (std::size_t i = 0; i < inputs_.size(); ++i) joint[i] = random_direction(i, fmt::format("joint {}", d));
        check(joint, -1, -1);
      }
    }
    if (report_.checks > 0 && report_.checks == report_.zero && !subject_.constant && !subject_.may_vanish) {
      GradcheckFinding finding = describe(-1, -1);
      finding.reason = vacuous_check;
      report_.add(finding);
    }
    return report_;
  }

 private:
  bool enough() const { return report_.failed >= options_.most_failures; }
  RandomStream random(const std::string& what) const { return random_stream(options_.seed, what); }
  const std::vector<Values>& gradients() const { return function_.gradients(); }
  const Values& point(std::size_t input) const { return function_.points()[input]; }
  DType dtype() const { return function_.dtype(); }

  Values random_direction(std::size_t input, const std::string& name) const {
    if (gradients()[input].empty()) return {};
    Values values = random_values(point(input).size(), random(fmt::format("{} of input {}", name, input)), subject_.multilinear);
    const double scale = scale_of(input);
    for (double& value : values) value *= scale;
    return values;
  }

  // The size of a step in an input: what it holds, or 1 where it holds zeros.
  double scale_of(std::size_t input) const {
    const double size = root_mean_square(point(input));
    return subject_.multilinear || size == 0 ? 1.0 : std::max(size, smallest_step());
  }
  double smallest_step() const { return dtype() == DType::f64 ? 1e-290 : 1e-28; }  // fractions of it are still normal numbers

  Direction along_entry(std::size_t input, std::size_t entry) const {
    Direction direction(inputs_.size());
    direction[input].assign(point(input).size(), 0.0);
    const double value = std::abs(point(input)[entry]), scale = scale_of(input);
    constexpr double tiny = 1e-3;  // an entry so much smaller than the others moves on their scale
    direction[input][entry] = !subject_.multilinear && value > tiny * scale ? std::max(value, smallest_step()) : scale;
    return direction;
  }

  void check_input(std::size_t input) {
    for (int d = 0; d < options_.directions && !enough(); ++d) {
      Direction direction(inputs_.size());
      direction[input] = random_direction(input, fmt::format("direction {}", d));
      check(direction, static_cast<Index>(input), -1);
    }
    const auto count = static_cast<Index>(point(input).size());
    std::vector<Index> entries;
    const auto take = [&](Index entry) {
      const bool room = static_cast<Index>(entries.size()) < std::min<Index>(options_.entries, count);
      if (room && std::find(entries.begin(), entries.end(), entry) == entries.end()) entries.push_back(entry);
    };
    take(0);
    const Values& slopes = gradients()[input];
    const auto steepest = std::max_element(slopes.begin(), slopes.end(), [](double a, double b) { return std::abs(a) < std::abs(b); });
    take(steepest - slopes.begin());
    const RandomStream chosen = random(fmt::format("entries of input {}", input));
    for (Index draw = 0; draw < 4 * options_.entries; ++draw) take(static_cast<Index>(chosen.uniform(draw) * static_cast<double>(count)));
    for (const Index entry : entries) {
      if (!enough()) check(along_entry(input, static_cast<std::size_t>(entry)), static_cast<Index>(input), entry);
    }
  }

  struct Outcome {
    double analytic = 0;
    JudgedSlope judged;
  };

  Outcome measure(const Direction& direction) const {
    Outcome outcome;
    double magnitude = 0;
    for (std::size_t i = 0; i < direction.size(); ++i) {
      for (std::size_t e = 0; e < direction[i].size(); ++e) {
        if (direction[i][e] == 0) continue;
        const double term = gradients()[i][e] * direction[i][e];
        outcome.analytic += term;
        magnitude += std::abs(term);
      }
    }
    if (subject_.multilinear) {
      outcome.judged = exactly(outcome.analytic, magnitude, direction);
    } else {
      const auto along = [&](double step) { return function_.differences(direction, step); };
      outcome.judged = judge_along(outcome.analytic, magnitude, along, function_.rounding(), function_.precision());
    }
    return outcome;
  }

  // Step 1: a function that is linear in the moved input has no truncation error, and none of rounding where all is integer.
  JudgedSlope exactly(double analytic, double magnitude, const Direction& direction) const {
    const Differences change = function_.differences(direction, 1.0);
    JudgedSlope result;
    result.slope = {(change.right + change.left) / 2, change.left, change.right, change.right - change.left, 0, 0, 1.0, true};
    const auto integers = [this](const std::vector<Values>& all) {
      return std::all_of(all.begin(), all.end(), [this](const Values& values) { return all_integers(values, dtype()); });
    };
    double bound = 0;
    if (!integers(function_.values()) || !integers(gradients())) {  // it has coefficients such as 1/3
      double values = 0;
      for (std::size_t o = 0; o < function_.values().size(); ++o) {
        for (std::size_t i = 0; i < function_.values()[o].size(); ++i)
          values += std::abs(function_.values()[o][i] * function_.weights()[o][i]);
      }
      bound = 32 * SlopePrecision::of(dtype()).epsilon * (magnitude + values);
    }
    const bool agree = std::abs(analytic - change.right) <= bound && std::abs(analytic - change.left) <= bound;
    result.slope.error = bound;
    result.judgement.zero = agree && std::abs(analytic) <= bound;
    if (!agree) {
      const bool bent = std::abs(change.right - change.left) > 2 * bound;
      result.judgement = {Verdict::fail, false, bent, bent ? "the op is said to be linear in each input and is not" : "the slopes differ"};
    }
    return result;
  }

  void check(const Direction& direction, Index input, Index entry) {
    const Outcome outcome = measure(direction);
    const Judgement& judgement = outcome.judged.judgement;
    ++report_.checks;
    if (judgement.verdict == Verdict::pass) {
      ++(judgement.zero ? report_.zero : report_.passed);
      return;
    }
    if (judgement.verdict == Verdict::inconclusive && subject_.constant) {  // it steps here
      ++report_.zero;
      return;
    }
    if (judgement.verdict == Verdict::fail && entry < 0 && options_.narrow) return report_.add(narrow(direction, input, outcome));
    report_.add(found(outcome, direction, input, entry));
  }

  // Halves a direction that failed as long as a half of it fails too: down to one entry, mostly.
  GradcheckFinding narrow(Direction direction, Index input, Outcome outcome) const {
    for (;;) {
      std::vector<std::pair<std::size_t, std::size_t>> moved;
      for (std::size_t i = 0; i < direction.size(); ++i) {
        for (std::size_t e = 0; e < direction[i].size(); ++e) {
          if (direction[i][e] != 0) moved.emplace_back(i, e);
        }
      }
      const bool one_input = moved.front().first == moved.back().first;
      if (one_input) input = static_cast<Index>(moved.front().first);
      if (moved.size() == 1) return found(outcome, direction, input, static_cast<Index>(moved.front().second));
      Direction halves[2] = {direction, direction};
      std::size_t middle = moved.size() / 2;
      if (!one_input) {  // whole inputs first
        while (middle > 0 && moved[middle].first == moved[middle - 1].first) --middle;
        const auto elsewhere = [&](const auto& at) { return at.first != moved[0].first; };
        if (middle == 0) middle = static_cast<std::size_t>(std::find_if(moved.begin(), moved.end(), elsewhere) - moved.begin());
      }
      for (std::size_t m = 0; m < moved.size(); ++m) halves[m < middle ? 1 : 0][moved[m].first][moved[m].second] = 0;
      for (Direction& half : halves) {
        for (Values& values : half) {
          if (std::all_of(values.begin(), values.end(), [](double value) { return value == 0; })) values.clear();
        }
      }
      const Outcome first = measure(halves[0]);
      const bool wrong = first.judged.judgement.verdict == Verdict::fail;
      const Outcome half = wrong ? first : measure(halves[1]);
      if (half.judged.judgement.verdict != Verdict::fail) {
        if (first.judged.judgement.kink ||
            half.judged.judgement.kink) {  // at kinks of several parts the sum of their slopes bounds nothing
          outcome.judged.judgement.verdict = Verdict::inconclusive;
          outcome.judged.judgement.reason = "kinks of several inputs";
        }
        return found(outcome, direction, input, -1);
      }
      direction = halves[wrong ? 0 : 1];
      outcome = half;
    }
  }

  GradcheckFinding describe(Index input, Index entry) const {
    GradcheckFinding finding;
    finding.node = subject_.node;
    finding.op = subject_.op;
    finding.number = subject_.number;
    finding.order = options_.order;
    finding.seed = options_.seed;
    finding.command = subject_.command;
    finding.input = input;
    finding.index = entry;
    if (input < 0) return finding;
    const GradcheckInput& described = inputs_[static_cast<std::size_t>(input)];
    finding.input_name = described.name;
    if (entry >= 0) finding.position = position_text(described.value.shape(), entry);
    return finding;
  }

  // Of one entry, the slopes per unit of it.
  GradcheckFinding found(const Outcome& outcome, const Direction& direction, Index input, Index entry) const {
    GradcheckFinding finding = describe(input, entry);
    const Slope& slope = outcome.judged.slope;
    const double unit = entry < 0 ? 1.0 : direction[static_cast<std::size_t>(input)][static_cast<std::size_t>(entry)];
    finding.verdict = outcome.judged.judgement.verdict;
    finding.reason = outcome.judged.judgement.reason;
    finding.analytic = outcome.analytic / unit;
    finding.numeric = slope.value / unit;
    finding.left = (unit < 0 ? slope.right : slope.left) / unit;
    finding.right = (unit < 0 ? slope.left : slope.right) / unit;
    finding.error = slope.error / std::abs(unit);
    finding.kink = outcome.judged.judgement.kink;
    return finding;
  }

  WeightedFunction function_;
  const std::vector<GradcheckInput>& inputs_;
  const GradcheckOptions& options_;
  const GradcheckSubject& subject_;
  GradcheckReport report_;
};

// The gradients of a function as a function of its inputs and of its outputs' cotangents, which come after them.
GradcheckFunction gradient_of(const GradcheckFunction& function, const std::vector<GradcheckInput>& inputs) {
  return [&function, &inputs](std::span<const Var> vars) {
    std::vector<Var> outputs, wrt;
    for (const Var& output : function(vars.first(inputs.size()))) {
      if (is_float(output.dtype())) outputs.push_back(output);
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i].vary && is_float(vars[i].dtype())) wrt.push_back(vars[i]);
    }
    GradientOptions options;
    options.cotangents.assign(vars.begin() + static_cast<std::ptrdiff_t>(inputs.size()), vars.end());
    options.zero_unused = true;
    return gradients(outputs, wrt, options);
  };
}

}  // namespace

GradcheckReport check_function(const GradcheckFunction& function, const std::vector<GradcheckInput>& inputs,
                               const GradcheckOptions& options, const GradcheckSubject& subject) {
  if (options.order != 1 && options.order != 2) fail(fmt::format("[gradcheck] wanted order 1 or 2, got {}", options.order));
  const KeepDenormals denormals;
  Context::current().recording = true;
  if (options.order == 1) return FunctionCheck(function, inputs, options, subject).run();
  std::vector<GradcheckInput> all = inputs;
  Tape tape = options.catalogue != nullptr ? Tape(*options.catalogue) : Tape();
  std::vector<Var> vars;
  for (const GradcheckInput& input : inputs) vars.push_back(input.batched ? tape.batch(input.value) : tape.variable(input.value));
  for (const Var& output : function(vars)) {
    if (!is_float(output.dtype())) continue;
    const std::string cotangent = fmt::format("cotangent {}", all.size() - inputs.size());
    const Values values =
        random_values(static_cast<std::size_t>(output.shape().elements()), random_stream(options.seed, cotangent), subject.multilinear);
    all.push_back({Tensor::copy(values.data(), output.shape()).cast(output.dtype()), cotangent, output.batched()});
  }
  const auto empty = [](const GradcheckInput& input) { return input.value.elements() == 0; };
  if (std::all_of(all.begin() + static_cast<std::ptrdiff_t>(inputs.size()), all.end(), empty)) return {};
  GradcheckSubject second = subject;
  second.multilinear = false;  // a gradient may hold the same input twice
  return FunctionCheck(gradient_of(function, inputs), all, options, second).run();
}

}  // namespace wengert
