#include "data.hpp"

#include <algorithm>

#include <wengert/engine/error.hpp>

#include "output.hpp"

namespace wengert::command {

namespace fs = std::filesystem;

Dataset open_dataset(const std::string& option, const std::string& of_script, Split split) {
  if (!option.empty()) return read_idx_dataset(option, split);
  if (of_script.empty()) return split == Split::train ? mnist::train() : mnist::test();
  if (fs::path(of_script).is_absolute()) return read_idx_dataset(of_script, split);
  Dataset set = read_idx_dataset(share_folder() / of_script, split);
  set.source =
      of_script;  // not the path: in a saved model that would mean a folder of --data, and the share folder may lie elsewhere next time
  return set;
}

Dataset open_dataset_of(const fs::path& model, const std::string& option, const std::string& of_script, Split split) {
  if (!option.empty()) return open_dataset(option, of_script, split);
  const auto metadata = read_metadata(model);
  const auto source = metadata.find(data_source_key);
  const fs::path folder = source == metadata.end() ? fs::path() : fs::path(source->second);
  if (!folder.is_absolute()) return open_dataset(option, of_script, split);
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    fail("[data] the model '" + model.string() + "' was trained on '" + folder.string() +
         "', which is gone: name the folder of the data set with --data");
  }
  Dataset set = read_idx_dataset(folder, split);
  note("the data set is '" + folder.string() + "', as in the model's training; --data chooses another");
  return set;
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
