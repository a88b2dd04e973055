#include "options.hpp"

#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <wengert/engine/device.hpp>
#include <wengert/engine/op.hpp>
#include <wengert/ops/cuda/device.hpp>

namespace wengert::command {

namespace {

// The whole text as a number of type T; false where it is none, or does not fit.
template <class T>
bool read_number(const std::string& text, T& value) {
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  return read.ec == std::errc{} && read.ptr == text.data() + text.size();
}

// An empty text accepts; the description stays out of the help, which says it in words.
template <class Check>
CLI::Validator validator(Check check) {
  return CLI::Validator([check](std::string& text) { return check(text); }, "");
}

}  // namespace

CLI::Validator whole_number(Index least, Index most) {
  return validator([least, most](const std::string& text) -> std::string {
    Index value = 0;
    const bool whole = read_number(text, value);
    if (whole && value >= least && value <= most) return "";
    const bool high = whole ? value > most : !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
    return fmt::format("wanted a whole number of at {} {}, got '{}'", high ? "most" : "least", high ? most : least, text);
  });
}

CLI::Validator seed_number() {
  return validator([](const std::string& text) -> std::string {
    std::uint64_t value = 0;
    if (read_number(text, value)) return "";
    return fmt::format("wanted a whole number from 0 to {}, got '{}'", std::numeric_limits<std::uint64_t>::max(), text);
  });
}

CLI::Validator positive_number() {
  return validator([](const std::string& text) -> std::string {
    double value = 0;
    if (read_number(text, value) && value > 0 && std::isfinite(value)) return "";
    return fmt::format("wanted a number above 0, got '{}'", text);
  });
}

std::string kernel_names() { return fmt::format("auto, {}", fmt::join(known_backends(), ", ")); }

std::string kernel_help() { return "The kernel to choose: " + kernel_names() + ", or such a name with ',auto' to fall back"; }

void add_no_fusion(CLI::App& app, std::vector<std::string>& names) {
  app.add_option("--no-fusion", names,
                 "Leave this fusion out of the plan, to compare; may be repeated; 'all': every one. `wengert plan` names them")
      ->type_name("NAME")
      ->allow_extra_args(false);
}

void add_device(CLI::App& app, Device& device) {
  app.add_option_function<std::string>(
         "--device",
         [&device](const std::string& text) {
           const Device wanted = parse_device(text);
           device = wanted.kind == Device::Kind::cuda ? cuda_device(wanted.index) : wanted;
         },
         "Where to compute: cpu, the default, cuda or cuda:N")
      ->type_name("DEVICE");
}

}  // namespace wengert::command
