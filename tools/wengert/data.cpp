#include "data.hpp"

#include <algorithm>

#include <wengert/engine/error.hpp>

namespace wengert::command {

namespace fs = std::filesystem;

Dataset open_dataset(const std::string& option, const std::string& of_script, Split split) {
  if (!option.empty()) return read_idx_dataset(option, split);
  if (!of_script.empty())
    return read_idx_dataset(fs::path(of_script).is_absolute() ? fs::path(of_script) : share_folder() / of_script, split);
  return split == Split::train ? mnist::train() : mnist::test();
}

fs::path find_script(const std::string& name) {
  const fs::path given(name);
  std::error_code ignored;
  if (fs::is_regular_file(given, ignored) || given.has_parent_path()) return given;
  const fs::path folder = share_folder() / "scripts";
  for (const std::string& candidate : {name, name + ".toml"}) {
    if (fs::is_regular_file(folder / candidate, ignored)) return folder / candidate;
  }
  std::vector<std::string> installed;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) installed.push_back(entry.path().stem().string());
  std::sort(installed.begin(), installed.end());
  fail("[script '" + name + "'] wanted a script's file or the name of an installed one, found neither" + suggestion(name, installed));
}

Script open_script(const std::string& name) { return is_saved_model(name) ? saved_script(name) : read_script(find_script(name)); }

Script script_of(const std::string& model, const std::string& option) { return option.empty() ? saved_script(model) : open_script(option); }

}  // namespace wengert::command
