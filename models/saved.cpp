#include <wengert/models/saved.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>

namespace wengert {

Script saved_script(const std::filesystem::path& path) {
  const auto metadata = read_metadata(path);
  const auto script = metadata.find(script_key);
  if (script == metadata.end() || script->second.empty()) {
    fail("[load '" + path.string() +
         "'] the file carries no model script: give one to Trainer or Model when saving, or with --script; "
         "in C++, Model::load takes it");
  }
  std::error_code ignored;
  const std::uintmax_t bytes = std::filesystem::file_size(path, ignored);
  const auto held = static_cast<Index>(std::min<std::uintmax_t>(ignored ? 0 : bytes, std::uintmax_t{1} << 40) / sizeof(float));
  return parse_script(script->second, path.string(), std::min(held, most_script_weights));
}

bool is_saved_model(const std::filesystem::path& path) {
  constexpr std::size_t length_bytes = 8;
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return false;
  char begin[length_bytes + 1] = {};
  std::ifstream(path, std::ios::binary).read(begin, sizeof begin);
  constexpr std::size_t small = 4;  // headers are far below 4 GiB, so the upper half of their length is zero; of a text it never is
  return begin[length_bytes] == '{' && std::all_of(begin + small, begin + length_bytes, [](char byte) { return byte == 0; });
}

Model load_model(const std::filesystem::path& path, const Script& script) {
  Model model(script.network, script.input, script.text);
  model.load(path);
  for (const Parameter& parameter : model.parameters()) {
    const Tensor value = parameter.value();
    const auto numbers = value.values<float>();
    const auto wrong = std::find_if_not(numbers.begin(), numbers.end(), [](float number) { return std::isfinite(number); });
    if (wrong == numbers.end()) continue;
    fail(fmt::format("[load '{}'] wanted finite parameters, '{}' holds {}", path.string(), parameter.name(), *wrong));
  }
  return model;
}

Model load_model(const std::filesystem::path& path) { return load_model(path, saved_script(path)); }

}  // namespace wengert
