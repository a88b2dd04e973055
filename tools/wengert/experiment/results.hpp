// The rows of an experiment's file, and how tables and figures read them.
#pragma once

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
};

constexpr const char* format_key = "wengert_experiment";  // the first key of the header

// In the order of the report, then those that it lacks.
constexpr const char* experiments[] = {"speed", "accuracy", "batch", "rate", "examples", "curves", "recall", "shift", "ladder", "scaling"};

// A field of a row. Where it is absent or of another type: NaN, an empty text, an empty list.
double number(const Json& row, const char* key);
std::string text(const Json& row, const char* key);
std::vector<double> numbers(const Json& row, const char* key);
std::vector<double> numbers_of(const Json& list);

}  // namespace wengert::command::experiment
