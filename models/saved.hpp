// Opening a saved model by its file alone: the network comes from the script in the file.
#pragma once

#include <filesystem>

#include <wengert/models/script.hpp>

namespace wengert {

// The script that a saved model carries. Throws Error where it carries none (a network written in C++ is loaded with Model::load), or one
// that asks for more weights than the file holds.
Script saved_script(const std::filesystem::path& path);

// Whether a file looks like a saved model: it begins as safetensors files do.
bool is_saved_model(const std::filesystem::path& path);

// The model, ready to run; with its script where that was read already. Throws Error naming the first parameter that is not finite.
Model load_model(const std::filesystem::path& path);
Model load_model(const std::filesystem::path& path, const Script& script);

}  // namespace wengert
