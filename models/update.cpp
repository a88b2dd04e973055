#include <wengert/models/update.hpp>

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
  return moments_.try_emplace(name, name, of.shape(), Initial::constant(0.0), Parameter::Role::state).first->second;
}

void Update::apply(const Tape& tape, const Var& loss, const std::vector<Parameter>& parameters, Index t, double rate) {
  std::vector<Parameter> trained;
  std::vector<Var> wrt;
  Tape target = tape;
  for (const Parameter& parameter : parameters) {
    if (!parameter.trainable()) continue;
    trained.push_back(parameter);
    wrt.push_back(target.parameter(parameter));
  }
  if (trained.empty()) fail("[train] there is no parameter to train: all are frozen");
  const std::vector<Var> gradient = gradients(loss, wrt, {.cotangents = {}, .zero_unused = false, .record = false});
  for (std::size_t i = 0; i < trained.size(); ++i) want_finite(trained[i], gradient[i].value());
  NoRecording updates_only;
  const auto scalar = [](double value) { return Var(Tensor::scalar(value)); };
  for (std::size_t i = 0; i < trained.size(); ++i) {
    const Parameter& p = trained[i];
    const Var own_rate = scalar(rate * group_factor(p.name()));
    if (const Adam* a = std::get_if<Adam>(&optimiser_)) {
      Parameter &first = moment(first_moment, p), &second = moment(second_moment, p);
      const auto power = static_cast<double>(t);
      const AdamResult next = adam(Var(p.value()), Var(first.value()), Var(second.value()), gradient[i], own_rate, scalar(1.0 - std::pow(a->beta1, power)),
                                   scalar(1.0 - std::pow(a->beta2, power)), AdamAttributes{a->beta1, a->beta2, a->epsilon, a->weight_decay});
      assign(p, next.parameter);
      assign(first, next.first);
      assign(second, next.second);
    } else {
      const Sgd& s = std::get<Sgd>(optimiser_);
      Parameter& velocity = moment(velocity_moment, p);
      const SgdResult next = sgd(Var(p.value()), Var(velocity.value()), gradient[i], own_rate, SgdAttributes{s.momentum, s.weight_decay});
      assign(p, next.parameter);
      assign(velocity, next.velocity);
    }
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
    if (stored != nullptr) target.set_value(wengert::restore(*stored));
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
