#include <wengert/models/layers.hpp>

#include <fmt/format.h>

#include <wengert/engine/context.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/structural.hpp>

namespace wengert {

namespace {

std::optional<Parameter> bias_of(const std::string& name, bool wanted, Index size) {
  if (!wanted) return std::nullopt;
  return Parameter(name + ".bias", {size}, Initial::constant(0.0));
}

constexpr Index largest = Index{1} << 31;  // of each size, so that products of two do not overflow

Index positive(const char* layer, const std::string& name, const char* what, Index size) {
  if (size < 1 || size > largest) fail(fmt::format("[{} '{}'] wanted {} in [1,{}], got {}", layer, name, what, largest, size));
  return size;
}

void want_weights(const char* layer, const std::string& name, double count) {
  constexpr double most = 0x1p40;
  if (count > most) fail(fmt::format("[{} '{}'] wanted at most 2^40 weights, got {:g}", layer, name, count));
}

std::optional<Parameter> clone_of(const std::optional<Parameter>& parameter) {
  return parameter ? std::optional(parameter->clone()) : std::nullopt;
}

Initial initial_weight(WeightInit init, Index fan_in, Index fan_out) {
  return init == WeightInit::glorot ? Initial::glorot_uniform(fan_in, fan_out) : Initial::he_uniform(fan_in);
}

Parameter conv_weight(const std::string& name, const Conv2d::Options& o) {
  positive("conv2d", name, "in", o.in), positive("conv2d", name, "out", o.out), positive("conv2d", name, "groups", o.groups);
  positive("conv2d", name, "size", o.size.height), positive("conv2d", name, "size", o.size.width);
  if (o.in % o.groups != 0 || o.out % o.groups != 0) {
    fail(fmt::format("[conv2d '{}'] wanted in and out that divide into {} groups, got {} and {}", name, o.groups, o.in, o.out));
  }
  want_weights("conv2d", name,
               static_cast<double>(o.out) * static_cast<double>(o.in / o.groups) * static_cast<double>(o.size.height * o.size.width));
  const Index taps = o.size.height * o.size.width, fan_in = o.in / o.groups * taps, fan_out = o.out / o.groups * taps;
  return Parameter(name + ".weight", {o.out, o.in / o.groups, o.size.height, o.size.width}, initial_weight(o.init, fan_in, fan_out));
}

Shape linear_weight(const std::string& name, const Linear::Options& o) {
  positive("linear", name, "out", o.out), positive("linear", name, "in", o.in);
  want_weights("linear", name, static_cast<double>(o.out) * static_cast<double>(o.in));
  return {o.out, o.in};
}

}  // namespace

Var activate(Activation activation, const At& x) {
  switch (activation) {
    case Activation::relu: return relu(x);
    case Activation::tanh: return tanh(x);
    case Activation::sigmoid: return sigmoid(x);
    default: return x.var;
  }
}

Conv2d::Conv2d(std::string name, const Options& options)
    : weight(conv_weight(name, options)), bias(bias_of(name, options.bias, options.out)), name_(std::move(name)), options_(options) {}

Var Conv2d::operator()(const At& x) const {
  const At at = x.named(name_);
  Var y = conv2d(at, weight.on(at), {options_.stride, options_.dilation, options_.padding, options_.groups});
  if (bias) y = add(at(y), reshape(at(bias->on(at)), {1, options_.out, 1, 1}));
  return activate(options_.activation, at(y));
}

Conv2d Conv2d::clone() const {
  Conv2d copy = *this;
  copy.weight = weight.clone();
  copy.bias = clone_of(bias);
  return copy;
}

Linear::Linear(std::string name, const Options& options)
    : weight(name + ".weight", linear_weight(name, options), initial_weight(options.init, options.in, options.out)),
      bias(bias_of(name, options.bias, options.out)),
      name_(std::move(name)),
      options_(options) {}

Var Linear::operator()(const At& x) const {
  const At at = x.named(name_);
  const Var w = weight.on(at);  // before the bias, whatever order a compiler evaluates arguments in
  const Var y = bias ? linear(at, w, bias->on(at)) : linear(at, w);
  return activate(options_.activation, at(y));
}

Linear Linear::clone() const {
  Linear copy = *this;
  copy.weight = weight.clone();
  copy.bias = clone_of(bias);
  return copy;
}

BatchNorm::BatchNorm(std::string name, const Options& options)
    : gamma(name + ".gamma", {positive("batch_norm", name, "channels", options.channels)}, Initial::constant(1.0)),
      beta(name + ".beta", {options.channels}, Initial::constant(0.0)),
      mean(name + ".mean", {options.channels}, Initial::constant(0.0), Parameter::Role::state),
      variance(name + ".variance", {options.channels}, Initial::constant(1.0), Parameter::Role::state),
      name_(std::move(name)),
      options_(options) {}

Var BatchNorm::operator()(const At& x) const {
  const At at = x.named(name_);
  const Var g = gamma.on(at), b = beta.on(at), running_mean = mean.on(at), running_variance = variance.on(at);
  if (!Context::current().training) return batch_norm_inference(at, g, b, running_mean, running_variance, options_.epsilon);
  const BatchNormResult result = batch_norm(at, g, b, options_.epsilon);
  const auto follow = [&](const Parameter& state, const Var& running, const Var& batch) {
    const Var next = affine(at(running), options_.momentum) + affine(at(stop_gradient(batch)), 1.0 - options_.momentum);
    assign(state, at(cast(at(next), DType::f32)));
  };
  follow(mean, running_mean, result.mean);
  follow(variance, running_variance, result.variance);
  return result.y;
}

BatchNorm BatchNorm::clone() const {
  BatchNorm copy = *this;
  copy.gamma = gamma.clone();
  copy.beta = beta.clone();
  copy.mean = mean.clone();
  copy.variance = variance.clone();
  return copy;
}

Dropout::Dropout(std::string name, const Options& options) : name_(std::move(name)), options_(options) {
  if (!(options.rate >= 0.0 && options.rate < 1.0))
    fail(fmt::format("[dropout '{}'] wanted a rate in [0,1), got {:g}", name_, options.rate));
}

}  // namespace wengert
