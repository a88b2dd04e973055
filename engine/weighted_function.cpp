#include <wengert/engine/weighted_function.hpp>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>
#include <wengert/engine/gradients.hpp>

namespace wengert {

namespace {

Values values_of(const Tensor& tensor) {
  const Tensor wide = tensor.to({}).cast(DType::f64);
  const std::span<const double> all = wide.values<double>();
  return {all.begin(), all.end()};
}

std::vector<Values> values_of(const std::vector<Var>& vars) {
  std::vector<Values> result;
  for (const Var& var : vars) result.push_back(values_of(var.value()));
  return result;
}

// Of any magnitudes: squares neither overflow nor vanish.
double euclidean(const Values& values) {
  double largest = 0, sum = 0;
  for (const double value : values) largest = std::max(largest, std::abs(value));
  if (largest == 0 || !std::isfinite(largest)) return largest;
  for (const double value : values) sum += (value / largest) * (value / largest);
  return largest * std::sqrt(sum);
}

std::vector<Var> floating(const std::vector<Var>& vars) {
  std::vector<Var> result;
  std::copy_if(vars.begin(), vars.end(), std::back_inserter(result), [](const Var& var) { return is_float(var.dtype()); });
  return result;
}

}  // namespace

double root_mean_square(const Values& values) {
  return values.empty() ? 0.0 : euclidean(values) / std::sqrt(static_cast<double>(values.size()));
}

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

WeightedFunction::WeightedFunction(const GradcheckFunction& function, const std::vector<GradcheckInput>& inputs,
                                   const GradcheckOptions& options, bool integers)
    : function_(function), inputs_(inputs), options_(options) {
  differentiate(integers);
  if (!empty() && !integers && gradient_dtype_ == DType::f32) widen();
  if (!empty() && !wide_ && options.device != Device{}) values_ = values_of(run(Direction(inputs_.size()), 0.0));
  measure_rounding();
}

bool WeightedFunction::empty() const {
  const auto holds_any = [](const std::vector<Values>& all) {
    return std::any_of(all.begin(), all.end(), [](const Values& values) { return !values.empty(); });
  };
  return !holds_any(weights_) || !holds_any(gradients_);
}

bool WeightedFunction::varies(std::size_t input) const { return inputs_[input].vary && is_float(inputs_[input].value.dtype()); }

std::vector<Var> WeightedFunction::leaves(Tape& tape, const std::vector<Tensor>& values) const {
  std::vector<Var> vars;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const GradcheckInput& input = inputs_[i];
    if (input.batched) vars.push_back(tape.batch(values[i], input.name, nullptr));
    else vars.push_back(varies(i) ? tape.variable(values[i], input.name, nullptr) : tape.constant(values[i], input.name, nullptr));
  }
  return vars;
}

Tape WeightedFunction::new_tape() const { return options_.catalogue != nullptr ? Tape(*options_.catalogue) : Tape(); }

// The function's value, the weights of its entries that make it a scalar, and the analytic gradients of that.
void WeightedFunction::differentiate(bool integers) {
  Tape tape = new_tape();
  std::vector<Tensor> values;
  for (const GradcheckInput& input : inputs_) values.push_back(input.value.to(options_.device));
  const std::vector<Var> vars = leaves(tape, values), outputs = floating(function_(vars));
  gradients_.resize(inputs_.size());
  points_.resize(inputs_.size());
  if (outputs.empty()) return;
  dtype_ = gradient_dtype_ = outputs[0].dtype();
  std::vector<Var> wrt, cotangents;
  for (std::size_t i = 0; i < vars.size(); ++i) {
    if (varies(i)) wrt.push_back(vars[i]);
  }
  for (const Var& output : outputs) {
    values_.push_back(values_of(output.value()));
    const Values weights =
        random_values(values_.back().size(), random_stream(options_.seed, fmt::format("weights {}", weights_.size())), integers);
    const Tensor cotangent = Tensor::copy(weights.data(), output.shape()).cast(output.dtype()).to(options_.device);
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
}

// f32 leaves differences too few digits to tell a wrong gradient from rounding, so they are taken in f64; not of a function that holds
// f32 values of its own, which do not mix with f64 ones.
void WeightedFunction::widen() {
  wide_ = true;
  try {
    const std::vector<Var> outputs = run(Direction(inputs_.size()), 0.0);
    dtype_ = outputs[0].dtype();
    values_ = values_of(outputs);
  } catch (const Error&) {
    wide_ = false;
  }
}

SlopePrecision WeightedFunction::precision() const {
  SlopePrecision result = SlopePrecision::of(dtype_);
  if (gradient_dtype_ == DType::f64) return result;
  const SlopePrecision gradients = SlopePrecision::of(gradient_dtype_);
  result.relative = gradients.relative;
  result.cancelling = gradients.cancelling;
  result.resolution = gradients.resolution;
  result.settled = gradients.settled;
  return result;
}

void WeightedFunction::measure_rounding() {
  const double epsilon = SlopePrecision::of(dtype_).epsilon;
  Values outputs, inputs;
  for (std::size_t o = 0; o < values_.size(); ++o) {
    for (std::size_t i = 0; i < values_[o].size(); ++i) outputs.push_back(values_[o][i] * weights_[o][i]);
  }
  for (std::size_t k = 0; k < gradients_.size(); ++k) {
    for (std::size_t i = 0; i < gradients_[k].size(); ++i) inputs.push_back(points_[k][i] * gradients_[k][i]);
  }
  rounding_ = epsilon * (2 * euclidean(outputs) + euclidean(inputs));
  if (!std::isfinite(rounding_)) rounding_ = epsilon;  // non-finite gradients fail by themselves
}

std::vector<Var> WeightedFunction::run(const Direction& direction, double step) const {
  std::vector<Tensor> values;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const DType dtype = wide_ && is_float(inputs_[i].value.dtype()) ? DType::f64 : inputs_[i].value.dtype();
    if (direction[i].empty()) {
      values.push_back(inputs_[i].value.cast(dtype));
      continue;
    }
    Values moved = points_[i];
    for (std::size_t e = 0; e < moved.size(); ++e) moved[e] += step * direction[i][e];
    values.push_back(Tensor::copy(moved.data(), inputs_[i].value.shape()).cast(dtype));
  }
  Tape tape = new_tape();
  return floating(function_(leaves(tape, values)));
}

Differences WeightedFunction::differences(const Direction& direction, double step) const {
  const std::vector<Values> after = values_of(run(direction, step)), before = values_of(run(direction, -step));
  long double right = 0, left = 0;
  double bend = 0;
  for (std::size_t o = 0; o < values_.size(); ++o) {
    for (std::size_t i = 0; i < values_[o].size(); ++i) {
      const double up = weights_[o][i] * (after[o][i] - values_[o][i]), down = weights_[o][i] * (values_[o][i] - before[o][i]);
      right += static_cast<long double>(up);
      left += static_cast<long double>(down);
      bend += std::abs(up - down);
    }
  }
  return {static_cast<double>(right), static_cast<double>(left), bend};
}

}  // namespace wengert
