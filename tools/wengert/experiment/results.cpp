#include "results.hpp"

#include <algorithm>
#include <limits>

namespace wengert::command::experiment {

namespace {

constexpr double absent = std::numeric_limits<double>::quiet_NaN();

double number_in(const Json& value) { return value.is_number() ? value.get<double>() : absent; }

}  // namespace

void Results::add(Json row) {
  const std::string key = text(row, "key");
  const auto earlier = std::find_if(rows.begin(), rows.end(), [&](const Json& other) { return !key.empty() && text(other, "key") == key; });
  if (earlier == rows.end()) rows.push_back(std::move(row));
  else *earlier = std::move(row);
}

std::vector<const Json*> Results::of(const std::string& experiment) const {
  std::vector<const Json*> found;
  for (const Json& row : rows) {
    if (text(row, "experiment") == experiment) found.push_back(&row);
  }
  return found;
}

double number(const Json& row, const char* key) {
  const auto field = row.find(key);
  return field == row.end() ? absent : number_in(*field);
}

std::string text(const Json& row, const char* key) {
  const auto field = row.find(key);
  return field == row.end() || !field->is_string() ? "" : field->get<std::string>();
}

std::vector<double> numbers(const Json& row, const char* key) {
  const auto field = row.find(key);
  return field == row.end() ? std::vector<double>{} : numbers_of(*field);
}

std::vector<double> numbers_of(const Json& list) {
  std::vector<double> result;
  if (!list.is_array()) return result;
  for (const Json& value : list) result.push_back(number_in(value));
  return result;
}

}  // namespace wengert::command::experiment
