// Where the command finds data sets and scripts.
#pragma once

#include <filesystem>
#include <string>

#include <wengert/models/dataset.hpp>
#include <wengert/models/saved.hpp>

namespace wengert::command {

// The folder of --data, else the one that the script names (absolute, or under the share folder), else MNIST.
Dataset open_dataset(const std::string& option, const std::string& of_script, Split split);

// The same for a saved model: after --data comes the folder that it was trained on, where the training was given one; a line on standard error
// says so. Throws Error where that folder is gone.
Dataset open_dataset_of(const std::filesystem::path& model, const std::string& option, const std::string& of_script, Split split);

// A script by its path; a bare name such as "mlp" also finds the installed one. Throws Error that lists those where there is none.
std::filesystem::path find_script(const std::string& name);

// The script so found, or the one that a saved model carries.
Script open_script(const std::string& name);

// The script given with --script, or else the model's own.
Script script_of(const std::string& model, const std::string& option);

}  // namespace wengert::command
