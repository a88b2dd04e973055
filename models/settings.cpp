#include <wengert/models/settings.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>

namespace wengert {

double rate_of(const Optimiser& optimiser) {
  return std::visit([](const auto& chosen) { return chosen.rate; }, optimiser);
}

void set_rate(Optimiser& optimiser, double rate) {
  std::visit([&](auto& chosen) { chosen.rate = rate; }, optimiser);
}

namespace {

void want(bool right, const char* wanted, double got) {
  if (!right) fail(fmt::format("[train] wanted {}, got {:g}", wanted, got));
}

bool below_one(double value) { return value >= 0.0 && value < 1.0; }
bool finite_from_zero(double value) { return value >= 0.0 && std::isfinite(value); }

}  // namespace

void check(const Optimiser& optimiser) {
  want(finite_from_zero(rate_of(optimiser)), "a rate of at least 0", rate_of(optimiser));
  if (const Adam* adam = std::get_if<Adam>(&optimiser)) {
    want(below_one(adam->beta1), "Adam's beta1 in [0,1)", adam->beta1);
    want(below_one(adam->beta2), "Adam's beta2 in [0,1)", adam->beta2);
    want(adam->epsilon > 0.0 && std::isfinite(adam->epsilon), "Adam's epsilon above 0", adam->epsilon);
    want(finite_from_zero(adam->weight_decay), "a weight decay of at least 0", adam->weight_decay);
  } else {
    const Sgd& sgd = std::get<Sgd>(optimiser);
    want(below_one(sgd.momentum), "a momentum in [0,1)", sgd.momentum);
    want(finite_from_zero(sgd.weight_decay), "a weight decay of at least 0", sgd.weight_decay);
  }
}

void Schedule::check() const {
  want(finite_from_zero(factor), "a schedule's factor of at least 0", factor);
  if (every < 1) fail(fmt::format("[train] wanted a schedule that acts every 1 or more epochs, got {}", every));
  if (warm_up < 0 || warm_up > largest_count)
    fail(fmt::format("[train] wanted a warm-up of 0 to {} steps, got {}", largest_count, warm_up));
}

std::string Schedule::describe() const {
  constexpr const char* names[] = {"constant", "step", "cosine", "one_cycle"};
  std::string text = names[static_cast<std::size_t>(kind)];
  if (kind == Kind::step) text += fmt::format(" factor {} every {} epochs", factor, every);
  return warm_up == 0 ? text : text + fmt::format(" after {} steps of warm-up", warm_up);
}

double Schedule::at(Index step, Index total_steps, Index steps_per_epoch) const {
  constexpr double start = 1.0 / 25.0, rising = 0.3;
  const double done = std::min(1.0, static_cast<double>(step) / static_cast<double>(std::max<Index>(1, total_steps)));
  const auto half_cosine = [](double part) { return 0.5 * (1.0 + std::cos(std::numbers::pi * part)); };  // 1 down to 0
  double value = 1.0;
  switch (kind) {
    case Kind::constant: break;
    case Kind::step:
      value = std::pow(factor, static_cast<double>(step / std::max<Index>(1, steps_per_epoch) / std::max<Index>(1, every)));
      break;
    case Kind::cosine: value = half_cosine(done); break;
    case Kind::one_cycle:
      value = done < rising ? start + (1.0 - start) * (1.0 - half_cosine(done / rising)) : half_cosine((done - rising) / (1.0 - rising));
      break;
  }
  if (step < warm_up) value *= static_cast<double>(step + 1) / static_cast<double>(warm_up);
  return value;
}

}  // namespace wengert
