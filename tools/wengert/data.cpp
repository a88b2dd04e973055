#include "data.hpp"

namespace wengert::command {

namespace fs = std::filesystem;

Dataset open_dataset(const std::string& option, const std::string& of_script, Split split) {
  if (!option.empty()) return read_idx_dataset(option, split);
  if (!of_script.empty()) return read_idx_dataset(fs::path(of_script).is_absolute() ? fs::path(of_script) : share_folder() / of_script, split);
  return split == Split::train ? mnist::train() : mnist::test();
}

fs::path find_script(const std::string& name) {
  const fs::path given(name);
  if (fs::exists(given) || given.has_parent_path()) return given;
  const fs::path installed = share_folder() / "scripts" / (given.has_extension() ? name : name + ".toml");
  return fs::exists(installed) ? installed : given;
}

}  // namespace wengert::command
