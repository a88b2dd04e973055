// Model scripts: a network, its training and its data described in TOML instead of C++.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <wengert/models/model.hpp>
#include <wengert/models/settings.hpp>

namespace wengert {

struct Script {
  std::string name;
  std::string text;           // as read: what a saved model carries
  Shape input;                // (C,H,W)
  Network network;            // its nodes bear the layers' names and the script's lines
  Optimiser optimiser = Adam::report();
  TrainerOptions options;     // batch, schedule, rate groups, seed as the script says
  FitOptions fit;             // epochs, validation, ...
  std::string data;           // folder of the data set relative to the script or the share folder; empty: MNIST
};

// Throws Error "[script 'file' line N] ..." for anything that is not a model script: unknown keys, layers and names come with the nearest
// valid name.
Script read_script(const std::filesystem::path& path);
Script parse_script(const std::string& text, const std::string& file);

}  // namespace wengert
