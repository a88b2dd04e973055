#include <wengert/models/script/value.hpp>

#include <algorithm>
#include <sstream>

#include <fmt/format.h>
#include <toml++/toml.h>

#include <wengert/engine/error.hpp>

namespace wengert::script {

namespace {

// `depth` counts the lists and tables around the node.
Value convert(const toml::node& node, const std::string& key, const Site& site, int depth = 0) {
  constexpr int deepest = 32;
  if (depth > deepest) fail_at(site, fmt::format("wanted lists and tables at most {} deep", deepest));
  Value value;
  value.key = key;
  value.site = site;
  const auto line_of = [&](const toml::source_region& source) {
    return Site{site.file, source.begin ? static_cast<int>(source.begin.line) : site.line};
  };
  if (const auto* table = node.as_table()) {
    value.kind = Value::Kind::table;
    for (const auto& [name, item] : *table)
      value.items.push_back(convert(item, std::string(name.str()), line_of(name.source()), depth + 1));
    const auto earlier = [](const Value& a, const Value& b) { return a.site.line < b.site.line; };  // toml++ sorts by key
    std::stable_sort(value.items.begin(), value.items.end(), earlier);
  } else if (const auto* array = node.as_array()) {
    value.kind = Value::Kind::list;
    for (const auto& item : *array) value.items.push_back(convert(item, key, line_of(item.source()), depth + 1));
  } else if (const auto* truth = node.as_boolean()) {
    value.kind = Value::Kind::flag;
    value.truth = truth->get();
  } else if (const auto* whole = node.as_integer()) {
    value.kind = Value::Kind::integer;
    value.whole = whole->get();
  } else if (const auto* real = node.as_floating_point()) {
    value.kind = Value::Kind::number;
    value.real = real->get();
  } else if (const auto* text = node.as_string()) {
    value.kind = Value::Kind::text;
    value.characters = text->get();
  }
  return value;
}

// What the user wrote, short enough for a message.
std::string shown(const Value& value) {
  constexpr std::size_t longest = 60;
  switch (value.kind) {
    case Value::Kind::flag: return value.truth ? "true" : "false";
    case Value::Kind::integer: return std::to_string(value.whole);
    case Value::Kind::number: return fmt::format("{}", value.real);
    case Value::Kind::text: return "'" + value.characters.substr(0, longest) + "'";
    default: return value.what();
  }
}

[[noreturn]] void refuse(const Value& value, const std::string& wanted) {
  fail_at(value.site, fmt::format("'{}': wanted {}, got {}", value.key, wanted, shown(value)));
}

std::string bounds(double least, double most) { return fmt::format("in [{}, {}]", least, most); }

}  // namespace

void fail_at(const Site& site, const std::string& message) { fail(fmt::format("[script '{}' line {}] {}", site.file, site.line, message)); }

const char* Value::what() const {
  switch (kind) {
    case Kind::flag: return "true or false";
    case Kind::integer: return "a whole number";
    case Kind::number: return "a number";
    case Kind::text: return "a text";
    case Kind::list: return "a list";
    case Kind::table: return "a table";
    default: return "a date or time";
  }
}

bool Value::flag() const {
  if (kind != Kind::flag) refuse(*this, "true or false");
  return truth;
}

Index Value::integer(Index least, Index most) const {
  if (kind != Kind::integer || whole < least || whole > most) refuse(*this, fmt::format("a whole number in [{}, {}]", least, most));
  return whole;
}

double Value::number(double least, double most) const {
  const double found = kind == Kind::integer ? static_cast<double>(whole) : real;
  const bool is_number = kind == Kind::integer || kind == Kind::number;
  if (!is_number || !(found >= least && found <= most)) refuse(*this, "a number " + bounds(least, most));
  return found;
}

const std::string& Value::text() const {
  if (kind != Kind::text) refuse(*this, "a text");
  return characters;
}

const std::vector<Value>& Value::list() const {
  if (kind != Kind::list) refuse(*this, "a list");
  return items;
}

const std::string& Value::one_of(const std::vector<std::string>& valid) const {
  if (kind != Kind::text || std::find(valid.begin(), valid.end(), characters) == valid.end()) {
    const std::string names = fmt::format("'{}'", fmt::join(valid, "', '"));
    const std::string near = kind == Kind::text ? nearest_name(characters, valid) : "";
    fail_at(site, fmt::format("'{}': wanted one of {}, got {}{}", key, names, shown(*this),
                              near.empty() ? "" : "; did you mean '" + near + "'?"));
  }
  return characters;
}

const Value* Value::find(const std::string& name) const {
  if (kind != Kind::table) refuse(*this, "a table");
  const auto found = std::find_if(items.begin(), items.end(), [&](const Value& item) { return item.key == name; });
  return found == items.end() ? nullptr : &*found;
}

const Value& Value::at(const std::string& name) const {
  const Value* found = find(name);
  if (found == nullptr) fail_at(site, fmt::format("{}wanted the key '{}', which is missing", key.empty() ? "" : "'" + key + "': ", name));
  return *found;
}

void Value::allow(const std::vector<std::string>& names) const {
  if (kind != Kind::table) refuse(*this, "a table");
  for (const Value& item : items) {
    if (std::find(names.begin(), names.end(), item.key) == names.end())
      fail_at(item.site, "unknown key '" + item.key + "'" + suggestion(item.key, names));
  }
}

Choice choice_of(const Value& value, const std::vector<std::string>& valid) {
  if (value.kind != Value::Kind::table) return {value.one_of(valid)};
  value.allow(valid);
  if (value.items.size() != 1)
    fail_at(value.site, fmt::format("'{}': wanted one of {}, got {} keys", value.key, fmt::join(valid, ", "), value.items.size()));
  const Value& options = value.items.front();
  options.find("");  // a table
  return {options.key, &options};
}

namespace {

// a.b.c = 1 makes a table in a table for every dot, and toml++ takes them apart by recursion.
void check_dots(const std::string& text, const Site& start) {
  constexpr std::ptrdiff_t most = 64;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const std::size_t first = line.find_first_not_of(" \t");
    if (first == std::string::npos || line[first] == '#') continue;
    if (std::count(line.begin(), line.end(), '.') > most)
      fail_at({start.file, number}, fmt::format("wanted at most {} dots in a line", most));
  }
}

}  // namespace

Value parse(const std::string& text, const std::string& file) {
  const Site start{intern(file), 1};
  check_dots(text, start);
  try {
    return convert(toml::parse(text, file), "", start);
  } catch (const toml::parse_error& error) {
    std::string what(error.description());
    std::replace(what.begin(), what.end(), '\n', ' ');
    fail_at({start.file, static_cast<int>(error.source().begin.line)}, what);
  }
}

}  // namespace wengert::script
