// Where the command finds data sets and scripts.
#pragma once

#include <filesystem>
#include <string>

#include <wengert/models/dataset.hpp>

namespace wengert::command {

// The folder of --data, else the one that the script names (absolute, or under the share folder), else MNIST.
Dataset open_dataset(const std::string& option, const std::string& of_script, Split split);

// A script by its path; a bare name such as "mlp" also finds the installed one.
std::filesystem::path find_script(const std::string& name);

}  // namespace wengert::command
