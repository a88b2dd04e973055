#include <wengert/models/settings.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

namespace wengert {

double rate_of(const Optimiser& optimiser) {
  return std::visit([](const auto& chosen) { return chosen.rate; }, optimiser);
}

void set_rate(Optimiser& optimiser, double rate) {
  std::visit([&](auto& chosen) { chosen.rate = rate; }, optimiser);
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
    case Kind::step: value = std::pow(factor, static_cast<double>(step / std::max<Index>(1, steps_per_epoch) / std::max<Index>(1, every))); break;
    case Kind::cosine: value = half_cosine(done); break;
    case Kind::one_cycle:
      value = done < rising ? start + (1.0 - start) * (1.0 - half_cosine(done / rising)) : half_cosine((done - rising) / (1.0 - rising));
      break;
  }
  if (step < warm_up) value *= static_cast<double>(step + 1) / static_cast<double>(warm_up);
  return value;
}

}  // namespace wengert
