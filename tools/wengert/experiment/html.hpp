// The experiments as one page that needs nothing else: figures are in it, no network is asked.
#pragma once

#include <filesystem>
#include <string>

#include "results.hpp"

namespace wengert::command::experiment {

// For text and for attributes between double quotes.
std::string escaped(const std::string& text);

// Writes dir/report.html, with those figures that stand in dir/figures.
void write_html(const Results& results, const std::filesystem::path& dir);

}  // namespace wengert::command::experiment
