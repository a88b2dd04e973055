#include <wengert/models/saved.hpp>

#include <wengert/engine/error.hpp>

namespace wengert {

Script saved_script(const std::filesystem::path& path) {
  const auto metadata = read_metadata(path);
  const auto script = metadata.find(script_key);
  if (script == metadata.end()) fail("[load '" + path.string() + "'] the file carries no model script; a network written in C++ takes it with Model::load");
  return parse_script(script->second, path.string());
}

Model load_model(const std::filesystem::path& path, const Script& script) {
  Model model(script.network, script.input, script.text);
  model.load(path);
  return model;
}

Model load_model(const std::filesystem::path& path) { return load_model(path, saved_script(path)); }

}  // namespace wengert
