// Checks of option values, with messages that say what was wanted: "--epochs: wanted a whole number of at least 0, got 'abc'".
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include <CLI/CLI.hpp>

#include <wengert/models/settings.hpp>

namespace wengert::command {

// A whole number in [least, most], digits and a sign only.
CLI::Validator whole_number(Index least, Index most = largest_count);

// A whole number that fills 64 bits without a sign.
CLI::Validator seed_number();

// A finite number above 0.
CLI::Validator positive_number();

// "auto, naive, matrix, ...": what may be chosen, and the help of an option that chooses one of them.
std::string kernel_names();
std::string kernel_help();

// --no-fusion NAME, which may be repeated.
void add_no_fusion(CLI::App& app, std::vector<std::string>& names);

// --device cpu, cuda or cuda:N, opened where it is a CUDA device.
void add_device(CLI::App& app, Device& device);

constexpr Index most_threads = 1024;

}  // namespace wengert::command
