// Tables, figures and the page from a finished or a partial run.
#pragma once

#include <filesystem>

#include "results.hpp"

namespace wengert::command::experiment {

// Returns what was written: "tables, figures and page".
std::string render(const Results& results, const std::filesystem::path& dir);

}  // namespace wengert::command::experiment
