#include <wengert/models/update.hpp>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <wengert/engine/context.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/gradients.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/models/files/safetensors.hpp>
#include <wengert/models/model.hpp>
#include <wengert/ops/optimiser.hpp>

namespace wengert {

namespace {

constexpr const char *first_moment = "first", *second_moment = "second", *velocity_moment = "velocity";

void want_finite(const Parameter& parameter, const Tensor& gradient) {
  float largest = 0;
  for (const float value : gradient.values<float>()) largest = std::fabs(value) <= largest ? largest : std::fabs(value);  // a NaN stays
  if (!std::isfinite(largest)) fail("the gradient of '" + parameter.name() + "' is not finite");
}

}  // namespace

std::string Update::describe() const {
  std::string text = std::visit(
      [](const auto& o) {
        if constexpr (std::is_same_v<std::decay_t<decltype(o)>, Adam>) {
          return fmt::format("adam rate {} betas {} {} epsilon {} weight decay {}", o.rate, o.beta1, o.beta2, o.epsilon, o.weight_decay);
        } else {
          return fmt::format("sgd rate {} momentum {} weight decay {}", o.rate, o.momentum, o.weight_decay);
        }
      },
      optimiser_);
  for (const RateGroup& group : groups_) text += fmt::format(", '{}' times {}", group.prefix, group.factor);
  return text;
}

double Update::group_factor(const std::string& name) const {
  for (const RateGroup& group : groups_) {
    if (name.compare(0, group.prefix.size(), group.prefix) == 0) return group.factor;
  }
  return 1.0;
}

Parameter& Update::moment(const char* kind, const Parameter& of) {
  const std::string name = std::string(moment_prefix) + kind + "." + of.name();
  Parameter& made = moments_.try_emplace(name, name, of.shape(), Initial::constant(0.0), Parameter::Role::state).first->second;
  made.to(of.device());
  return made;
}

std::vector<Parameter> Update::trained(const std::vector<Parameter>& parameters) const {
  std::vector<Parameter> result;
  for (const Parameter& parameter : parameters) {
    if (parameter.trainable()) result.push_back(parameter);
  }
  if (result.empty()) fail("[train] there is no parameter to train: all are frozen");
  return result;
}

void Update::step_one(const Parameter& p, const std::function<Var(const Parameter&)>& read, const Var& gradient, const Var& rate,
                      const Var& correction1, const Var& correction2) {
  if (const Adam* a = std::get_if<Adam>(&optimiser_)) {
    Parameter &first = moment(first_moment, p), &second = moment(second_moment, p);
    const AdamResult next = adam(read(p), read(first), read(second), gradient, rate, correction1, correction2,
                                 AdamAttributes{a->beta1, a->beta2, a->epsilon, a->weight_decay});
    assign(p, next.parameter);
    assign(first, next.first);
    assign(second, next.second);
  } else {
    const Sgd& s = std::get<Sgd>(optimiser_);
    Parameter& velocity = moment(velocity_moment, p);
    const SgdResult next = sgd(read(p), read(velocity), gradient, rate, SgdAttributes{s.momentum, s.weight_decay});
    assign(p, next.parameter);
    assign(velocity, next.velocity);
  }
}

std::vector<Var> Update::finite_gradients(const Tape& tape, const Var& loss, const std::vector<Parameter>& parameters) const {
  const std::vector<Parameter> learning = trained(parameters);
  std::vector<Var> wrt;
  Tape target = tape;
  for (const Parameter& parameter : learning) wrt.push_back(target.parameter(parameter));
  std::vector<Var> gradient = gradients(loss, wrt, {.cotangents = {}, .zero_unused = false, .record = false});
  for (std::size_t i = 0; i < learning.size(); ++i) want_finite(learning[i], gradient[i].value().to({}));
  return gradient;
}

void Update::apply(const Tape& tape, const Var& loss, const std::vector<Parameter>& parameters, Index t, double rate) {
  const std::vector<Parameter> learning = trained(parameters);
  const std::vector<Var> gradient = finite_gradients(tape, loss, parameters);
  NoRecording updates_only;
  Var correction1, correction2;
  const auto scalar = [&](double value) { return Var(Tensor::scalar(value).to(learning.front().device())); };
  if (const Adam* a = std::get_if<Adam>(&optimiser_)) {
    correction1 = scalar(1.0 - std::pow(a->beta1, static_cast<double>(t)));
    correction2 = scalar(1.0 - std::pow(a->beta2, static_cast<double>(t)));
  }
  for (std::size_t i = 0; i < learning.size(); ++i) {
    const Var own_rate = scalar(rate * group_factor(learning[i].name()));
    step_one(
        learning[i], [](const Parameter& p) { return Var(p.tensor()); }, gradient[i], own_rate, correction1, correction2);
  }
}

StepScalars Update::declare(const Tape& tape, const Var& loss, const std::vector<Parameter>& parameters) {
  const std::vector<Parameter> learning = trained(parameters);
  Tape target = tape;
  const auto scalar = [&](const char* name) { return target.variable(Tensor::declared({Shape{}, DType::f32}), name); };
  std::vector<Var> wrt;
  for (const Parameter& parameter : learning) wrt.push_back(target.parameter(parameter));
  const std::vector<Var> gradient = gradients(loss, wrt);
  StepScalars scalars;
  if (std::holds_alternative<Adam>(optimiser_)) scalars.correction1 = scalar("correction1"), scalars.correction2 = scalar("correction2");
  for (std::size_t i = 0; i < learning.size(); ++i) {
    const double factor = group_factor(learning[i].name());
    auto rate = std::find_if(scalars.rates.begin(), scalars.rates.end(), [&](const auto& known) { return known.first == factor; });
    if (rate == scalars.rates.end()) rate = scalars.rates.insert(scalars.rates.end(), {factor, scalar("rate")});
    step_one(
        learning[i], [&](const Parameter& p) { return target.parameter(p); }, gradient[i], rate->second, scalars.correction1,
        scalars.correction2);
  }
  return scalars;
}

void Update::set_scalars(const StepScalars& scalars, Index t, double rate, const std::function<void(const Var&, double)>& set) const {
  for (const auto& [factor, var] : scalars.rates) set(var, rate * factor);
  if (const Adam* a = std::get_if<Adam>(&optimiser_)) {
    set(scalars.correction1, 1.0 - std::pow(a->beta1, static_cast<double>(t)));
    set(scalars.correction2, 1.0 - std::pow(a->beta2, static_cast<double>(t)));
  }
}

std::vector<Parameter> Update::moments() const {
  std::vector<Parameter> result;
  for (const auto& entry : moments_) result.push_back(entry.second);
  return result;
}

void Update::restore(const SafetensorsFile& file, const std::filesystem::path& path, const std::vector<Parameter>& parameters) {
  const auto take = [&](const char* kind, const Parameter& of) {
    Parameter& target = moment(kind, of);
    const StoredTensor* stored = file.find(target.name());
    if (stored != nullptr) target.set_value(restore_as(*stored, target.tensor().spec(), path));
    else if (!of.frozen() && file.metadata.count("wengert.step") != 0 && file.metadata.at("wengert.step") != "0") {
      fail("[resume '" + path.string() + "'] wanted the moment '" + target.name() + "', found none");
    }
  };
  for (const Parameter& parameter : parameters) {
    if (parameter.role() != Parameter::Role::trained) continue;
    if (std::holds_alternative<Adam>(optimiser_)) {
      take(first_moment, parameter);
      take(second_moment, parameter);
    } else {
      take(velocity_moment, parameter);
    }
  }
}

}  // namespace wengert
