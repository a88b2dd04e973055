// The rows of an experiment's file, and how tables and figures read them.
#pragma once

#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace wengert::command::experiment {

using Json = nlohmann::ordered_json;

struct Results {
  Json header;
  std::vector<Json> rows;

  void add(Json row);  // in place of an earlier one of the same "key"
  std::vector<const Json*> of(const std::string& experiment) const;
  const Json* find(const std::string& key) const;  // or null
};

constexpr const char* results_name = "results.jsonl";
constexpr const char* format_key = "wengert_experiment";  // the first key of the header

// In the order of the report, then those that it lacks.
constexpr const char* experiments[] = {"speed", "accuracy", "batch", "rate", "examples", "curves", "recall", "shift", "ladder", "scaling"};

// Throws Error where the file is none of an experiment. A last line that was cut off is left out; `whole_bytes` are those before it.
Results read_results(const std::filesystem::path& file, long* whole_bytes = nullptr);

constexpr double nothing = std::numeric_limits<double>::quiet_NaN();  // where no number is

// A field of a row. Where it is absent or of another type: nothing, an empty text, an empty list.
double number(const Json& row, const char* key);
std::string text(const Json& row, const char* key);
std::vector<double> numbers(const Json& row, const char* key);
std::vector<double> numbers_of(const Json& list);
std::vector<std::string> texts(const Json& row, const char* key);

}  // namespace wengert::command::experiment
