#include "results.hpp"

#include <algorithm>
#include <span>
#include <sstream>

#include <fmt/format.h>

#include <wengert/models/files/input_file.hpp>

namespace wengert::command::experiment {

namespace {

double number_in(const Json& value) { return value.is_number() ? value.get<double>() : nothing; }

}  // namespace

void Results::add(Json row) {
  const std::string key = text(row, "key");
  const Json* const earlier = key.empty() ? nullptr : find(key);
  if (earlier == nullptr) rows.push_back(std::move(row));
  else rows[static_cast<std::size_t>(earlier - rows.data())] = std::move(row);
}

std::vector<const Json*> Results::of(const std::string& experiment) const {
  std::vector<const Json*> found;
  for (const Json& row : rows) {
    if (text(row, "experiment") == experiment) found.push_back(&row);
  }
  return found;
}

const Json* Results::find(const std::string& key) const {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const Json& row) { return text(row, "key") == key; });
  return found == rows.end() ? nullptr : &*found;
}

Results read_results(const std::filesystem::path& path, long* whole_bytes) {
  InputFile file(path, "experiment");
  std::string content(static_cast<std::size_t>(file.bytes()), '\0');
  content.resize(file.read(std::as_writable_bytes(std::span(content.data(), content.size()))));
  std::istringstream in(content);
  Results results;
  std::string line;
  long whole = 0;
  for (int place = 1; std::getline(in, line); ++place) {
    Json row = Json::parse(line, nullptr, false);
    const bool cut_off = place > 1 && in.eof();  // without its newline
    if (cut_off) break;
    if (!row.is_object() || (place == 1 && !row.contains(format_key))) {
      file.refuse("results of wengert experiment, JSON in every line", fmt::format("something else in line {}", place));
    }
    whole += static_cast<long>(line.size()) + 1;
    if (place == 1) results.header = std::move(row);
    else results.add(std::move(row));
  }
  if (results.header.is_null()) file.refuse("results of wengert experiment", "an empty file");
  if (whole_bytes != nullptr) *whole_bytes = whole;
  return results;
}

double number(const Json& row, const char* key) {
  const auto field = row.find(key);
  return field == row.end() ? nothing : number_in(*field);
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

std::vector<std::string> texts(const Json& row, const char* key) {
  std::vector<std::string> result;
  const auto field = row.find(key);
  if (field == row.end() || !field->is_array()) return result;
  for (const Json& value : *field) {
    if (value.is_string()) result.push_back(value.get<std::string>());
  }
  return result;
}

}  // namespace wengert::command::experiment
