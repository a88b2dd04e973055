#include <wengert/engine/gradcheck.hpp>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <wengert/engine/context.hpp>
#include <wengert/engine/gradients.hpp>
#include <wengert/engine/random.hpp>

namespace wengert {

namespace {

using Values = std::vector<double>;

Values values_of(const Tensor& tensor) {
  const Tensor wide = tensor.cast(DType::f64);
  const std::span<const double> all = wide.values<double>();
  return {all.begin(), all.end()};
}

double root_mean_square(const Values& values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return values.empty() ? 0.0 : std::sqrt(sum / static_cast<double>(values.size()));
}

// Entries of 0.5 to 1.5 in magnitude, so that no entry hides; small integers where differences are compared exactly.
Values random_values(std::size_t count, const RandomStream& random, bool integers) {
  Values values(count);
  for (std::size_t i = 0; i < count; ++i) {
    const double u = random.uniform(static_cast<Index>(i));
    const double spread = u < 0.5 ? 2 * u : 2 * u - 1;
    const double magnitude = integers ? (spread < 0.5 ? 1.0 : 2.0) : 0.5 + spread;
    values[i] = u < 0.5 ? -magnitude : magnitude;
  }
  return values;
}

bool all_integers(const Values& values, DType dtype) {
  const double exact = dtype == DType::f64 ? 0x1p53 : 0x1p24;
  return std::all_of(values.begin(), values.end(), [exact](double value) { return value == std::trunc(value) && std::abs(value) < exact; });
}

// A change of every input at once; an empty one leaves its input as it is.
using Direction = std::vector<Values>;

class FunctionCheck {
 public:
  FunctionCheck(const GradcheckFunction& function, std::vector<GradcheckInput> inputs, const GradcheckOptions& options, const GradcheckSubject& subject)
      : function_(function), inputs_(std::move(inputs)), options_(options), subject_(subject) {}

  GradcheckReport run() {
    differentiate();
    const bool anything = std::any_of(weights_.begin(), weights_.end(), [](const Values& weights) { return !weights.empty(); });
    const bool to_move = std::any_of(gradients_.begin(), gradients_.end(), [](const Values& values) { return !values.empty(); });
    if (!anything || !to_move) return report_;
    for (std::size_t i = 0; i < inputs_.size() && !enough(); ++i) {
      if (options_.only_input >= 0 && options_.only_input != static_cast<Index>(i)) continue;
      if (!gradients_[i].empty()) check_input(i);
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
  bool varies(std::size_t input) const { return inputs_[input].vary && is_float(inputs_[input].value.dtype()); }
  bool enough() const { return report_.failed >= options_.most_failures; }
  RandomStream random(const std::string& what) const { return random_stream(options_.seed, what); }

  std::vector<Var> leaves(Tape& tape, const std::vector<Tensor>& values) const {
    std::vector<Var> vars;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const GradcheckInput& input = inputs_[i];
      if (input.batched) vars.push_back(tape.batch(values[i], input.name, nullptr));
      else vars.push_back(varies(i) ? tape.variable(values[i], input.name, nullptr) : tape.constant(values[i], input.name, nullptr));
    }
    return vars;
  }

  Tape new_tape() const { return options_.catalogue != nullptr ? Tape(*options_.catalogue) : Tape(); }

  static std::vector<Var> floating(const std::vector<Var>& vars) {
    std::vector<Var> result;
    std::copy_if(vars.begin(), vars.end(), std::back_inserter(result), [](const Var& var) { return is_float(var.dtype()); });
    return result;
  }

  // The function's value, the weights of its entries that make it a scalar, and the analytic gradients of that.
  void differentiate() {
    Tape tape = new_tape();
    std::vector<Tensor> values;
    for (const GradcheckInput& input : inputs_) values.push_back(input.value);
    const std::vector<Var> vars = leaves(tape, values), outputs = floating(function_(vars));
    gradients_.resize(inputs_.size());
    points_.resize(inputs_.size());
    if (outputs.empty()) return;
    dtype_ = outputs[0].dtype();
    std::vector<Var> wrt, cotangents;
    for (std::size_t i = 0; i < vars.size(); ++i) {
      if (varies(i)) wrt.push_back(vars[i]);
    }
    for (const Var& output : outputs) {
      values_.push_back(values_of(output.value()));
      const Values weights = random_values(values_.back().size(), random(fmt::format("weights {}", weights_.size())), subject_.multilinear);
      const Tensor cotangent = Tensor::copy(weights.data(), output.shape()).cast(output.dtype());
      weights_.push_back(values_of(cotangent));
      cotangents.push_back(output.batched() ? tape.batch(cotangent) : tape.constant(cotangent));
    }
    GradientOptions gradient_options;
    gradient_options.cotangents = cotangents;
    gradient_options.zero_unused = true;
    const std::vector<Var> found = wengert::gradients(outputs, wrt, gradient_options);
    std::size_t next = 0;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (!varies(i)) continue;
      points_[i] = values_of(inputs_[i].value);
      gradients_[i] = values_of(found[next++].value());
    }
    measure_rounding();
  }

  // What rounding of outputs and inputs leaves in a difference.
  void measure_rounding() {
    const double epsilon = SlopePrecision::of(dtype_).epsilon;
    double outputs = 0, inputs = 0;
    for (std::size_t o = 0; o < values_.size(); ++o) {
      for (std::size_t i = 0; i < values_[o].size(); ++i) outputs += std::pow(values_[o][i] * weights_[o][i], 2);
    }
    for (std::size_t k = 0; k < gradients_.size(); ++k) {
      for (std::size_t i = 0; i < gradients_[k].size(); ++i) inputs += std::pow(points_[k][i] * gradients_[k][i], 2);
    }
    rounding_ = epsilon * (2 * std::sqrt(outputs) + std::sqrt(inputs));
    if (!std::isfinite(rounding_)) rounding_ = epsilon;  // non-finite gradients fail by themselves
  }

  std::vector<Values> evaluate(const Direction& direction, double step) const {
    std::vector<Tensor> values;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (direction[i].empty()) {
        values.push_back(inputs_[i].value);
        continue;
      }
      Values moved = points_[i];
      for (std::size_t e = 0; e < moved.size(); ++e) moved[e] += step * direction[i][e];
      values.push_back(Tensor::copy(moved.data(), inputs_[i].value.shape()).cast(inputs_[i].value.dtype()));
    }
    Tape tape = new_tape();
    std::vector<Values> result;
    for (const Var& output : floating(function_(leaves(tape, values)))) result.push_back(values_of(output.value()));
    return result;
  }

  // Summed entry by entry: entries that do not change leave nothing, however large they are.
  Differences differences(const Direction& direction, double step) const {
    const std::vector<Values> after = evaluate(direction, step), before = evaluate(direction, -step);
    long double right = 0, left = 0;
    for (std::size_t o = 0; o < values_.size(); ++o) {
      for (std::size_t i = 0; i < values_[o].size(); ++i) {
        right += static_cast<long double>(weights_[o][i] * (after[o][i] - values_[o][i]));
        left += static_cast<long double>(weights_[o][i] * (values_[o][i] - before[o][i]));
      }
    }
    return {static_cast<double>(right), static_cast<double>(left)};
  }

  Values random_direction(std::size_t input, const std::string& name) const {
    if (gradients_[input].empty()) return {};
    Values values = random_values(points_[input].size(), random(fmt::format("{} of input {}", name, input)), subject_.multilinear);
    const double size = root_mean_square(points_[input]);
    if (!subject_.multilinear && size > 0) {
      for (double& value : values) value *= size;
    }
    return values;
  }

  Direction along_entry(std::size_t input, std::size_t entry) const {
    Direction direction(inputs_.size());
    direction[input].assign(points_[input].size(), 0.0);
    const double value = std::abs(points_[input][entry]), size = root_mean_square(points_[input]);
    constexpr double tiny = 1e-3;  // an entry so much smaller than the others moves on their scale
    const double scale = value > tiny * size ? value : size > 0 ? size : 1.0;
    direction[input][entry] = subject_.multilinear ? 1.0 : scale;
    return direction;
  }

  void check_input(std::size_t input) {
    for (int d = 0; d < options_.directions && !enough(); ++d) {
      Direction direction(inputs_.size());
      direction[input] = random_direction(input, fmt::format("direction {}", d));
      check(direction, static_cast<Index>(input), -1);
    }
    const auto count = static_cast<Index>(points_[input].size());
    std::vector<Index> entries;
    const auto take = [&](Index entry) {
      const bool room = static_cast<Index>(entries.size()) < std::min<Index>(options_.entries, count);
      if (room && std::find(entries.begin(), entries.end(), entry) == entries.end()) entries.push_back(entry);
    };
    take(0);
    const Values& slopes = gradients_[input];
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
        const double term = gradients_[i][e] * direction[i][e];
        outcome.analytic += term;
        magnitude += std::abs(term);
      }
    }
    if (subject_.multilinear) {
      outcome.judged = exactly(outcome.analytic, magnitude, direction);
    } else {
      const auto along = [&](double step) { return differences(direction, step); };
      outcome.judged = judge_along(outcome.analytic, magnitude, along, rounding_, SlopePrecision::of(dtype_));
    }
    return outcome;
  }

  // Step 1: a function that is linear in the moved input has no truncation error, and none of rounding where all is integer.
  JudgedSlope exactly(double analytic, double magnitude, const Direction& direction) const {
    const Differences change = differences(direction, 1.0);
    JudgedSlope result;
    result.slope = {(change.right + change.left) / 2, change.left, change.right, change.right - change.left, 0, 1.0, true};
    const auto integers = [this](const std::vector<Values>& all) {
      return std::all_of(all.begin(), all.end(), [this](const Values& values) { return all_integers(values, dtype_); });
    };
    double bound = 0;
    if (!integers(values_) || !integers(gradients_)) {  // it has coefficients such as 1/3
      double values = 0;
      for (std::size_t o = 0; o < values_.size(); ++o) {
        for (std::size_t i = 0; i < values_[o].size(); ++i) values += std::abs(values_[o][i] * weights_[o][i]);
      }
      bound = 32 * SlopePrecision::of(dtype_).epsilon * (magnitude + values);
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
    if (judgement.verdict == Verdict::fail && entry < 0) return report_.add(narrow(direction, input, outcome));
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
        if (middle == 0) middle = static_cast<std::size_t>(std::find_if(moved.begin(), moved.end(), [&](const auto& at) { return at.first != moved[0].first; }) - moved.begin());
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
      if (half.judged.judgement.verdict != Verdict::fail) return found(outcome, direction, input, -1);
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
    return finding;
  }

  const GradcheckFunction& function_;
  std::vector<GradcheckInput> inputs_;
  GradcheckOptions options_;
  GradcheckSubject subject_;
  DType dtype_ = DType::f64;
  std::vector<Values> values_, weights_;      // of the floating outputs
  std::vector<Values> points_, gradients_;    // of the inputs; empty for integer ones
  double rounding_ = 0;
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

GradcheckReport check_function(const GradcheckFunction& function, const std::vector<GradcheckInput>& inputs, const GradcheckOptions& options,
                               const GradcheckSubject& subject) {
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
    const Values values = random_values(static_cast<std::size_t>(output.shape().elements()), random_stream(options.seed, cotangent), subject.multilinear);
    all.push_back({Tensor::copy(values.data(), output.shape()).cast(output.dtype()), cotangent, output.batched()});
  }
  const auto empty = [](const GradcheckInput& input) { return input.value.elements() == 0; };
  if (std::all_of(all.begin() + static_cast<std::ptrdiff_t>(inputs.size()), all.end(), empty)) return {};
  GradcheckSubject second = subject;
  second.multilinear = false;  // a gradient may hold the same input twice
  return FunctionCheck(gradient_of(function, inputs), all, options, second).run();
}

}  // namespace wengert
