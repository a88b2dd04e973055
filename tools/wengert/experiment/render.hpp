// Tables, figures and the page from a finished or a partial run.
#pragma once

#include <filesystem>

#include "results.hpp"

namespace wengert::command::experiment {

constexpr const char* results_name = "results.jsonl";

// Throws Error where the file is none of an experiment. A last line that was cut off is left out; `whole_bytes` are those before it.
Results read_results(const std::filesystem::path& file, long* whole_bytes = nullptr);

void render(const Results& results, const std::filesystem::path& dir);

}  // namespace wengert::command::experiment
