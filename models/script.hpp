// Model scripts: a network, its training and its data described in TOML instead of C++.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <wengert/models/model.hpp>
#include <wengert/models/settings.hpp>

namespace wengert {

// A layer as the script has it. Its nodes bear the name, given or made from the kind and a number ("relu2"), and the line.
struct ScriptLayer {
  std::string name, kind;
  int line = 0;
};

// Keys: name, input = [C,H,W], layers, train, data. A layer is a table with one key that says its kind, whose value is the layer's name or
// a table of options; options may also stand beside it, as may `name` and `from`, the name or names of the layers it takes ("input" is the
// image; by default the layer before).
//   conv2d: filters, size, stride, dilation, padding, groups, bias, activation, init    linear: units, bias, activation, init ("he", "glorot")
//   max_pool2d: window, stride, padding    average_pool2d: the same and count_padding    dropout: rate
//   batch_norm: epsilon, momentum          concat: axis (1: channels)                    add, relu, tanh, sigmoid, flatten,
//   global_average_pool2d: none. Sizes are one number or [height, width]; padding is "valid", "same", "full" (conv2d) or [top, bottom, left, right].
// train: batch, epochs, examples, validation, patience, keep_best, seed, warm_up (steps),
//   optimiser = { adam = { rate, beta1, beta2, epsilon, weight_decay } } or { sgd = { rate, momentum, weight_decay } },
//   schedule = "constant", "cosine", "one_cycle" or { step = { factor, every } }, rate_groups = [{ prefix, factor }].
// What is left out has the default of settings.hpp; without an optimiser it is Adam::report().
struct Script {
  std::string name;
  std::string text;  // as read: what a saved model carries
  Shape input;       // (C,H,W)
  std::vector<ScriptLayer> layers;
  Network network;  // its nodes bear the layers' names and the script's lines
  Optimiser optimiser = Adam::report();
  TrainerOptions options;  // batch, schedule, rate groups, seed as the script says
  FitOptions fit;          // epochs, validation, ...
  std::string data;        // folder of the data set relative to the script or the share folder; empty: MNIST
};

constexpr Index most_script_weights = Index{1} << 28;  // of all layers: 1 GiB
constexpr Index most_script_image = Index{1} << 24;    // numbers of the input
constexpr Index most_script_values = Index{1} << 28;   // numbers that all layers together give for one image: 1 GiB

// Throws Error "[script 'file' line N] ..." for anything that is not a model script: unknown keys, layers and names come with the nearest
// valid name.
Script read_script(const std::filesystem::path& path);
Script parse_script(const std::string& text, const std::string& file, Index most_weights = most_script_weights);

}  // namespace wengert
