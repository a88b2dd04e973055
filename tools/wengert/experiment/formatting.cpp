#include "formatting.hpp"

#include <cmath>

#include <fmt/format.h>

namespace wengert::command::experiment {

std::string significant(double value) {
  if (std::isnan(value)) return "";
  const double size = std::abs(value);
  if (size == 0) return "0";
  if (size >= 99.95) return fmt::format("{:.0f}", value);
  if (size >= 9.995) return fmt::format("{:.1f}", value);
  if (size >= 0.9995) return fmt::format("{:.2f}", value);
  return fmt::format("{:.3g}", value);
}

std::string percent(double fraction) { return std::isnan(fraction) ? "" : fmt::format("{:.2f}", 100 * fraction); }

std::string plain(double value) {
  if (std::isnan(value)) return "";
  const double exponent = value > 0 ? std::floor(std::log10(value) + 1e-9) : 0;
  if (exponent >= -3) return fmt::format("{:.6g}", value);
  return fmt::format("{:.3g}e{:.0f}", value / std::pow(10, exponent), exponent);
}

}  // namespace wengert::command::experiment
