// What stands in a model script: values that know their key and line, and are read with checks.
#pragma once

#include <string>
#include <vector>

#include <wengert/engine/var.hpp>

namespace wengert::script {

// Throws Error "[script 'file' line N] message".
[[noreturn]] void fail_at(const Site& site, const std::string& message);

// The largest size that a script may ask for, so that no product of sizes overflows and no typing error fills the memory.
constexpr Index largest_size = Index{1} << 20;

// One value of a TOML file; a table's items are its values, with their keys. Readers throw Error where the value is of another kind or
// outside the given bounds.
struct Value {
  enum class Kind : std::uint8_t { flag, integer, number, text, list, table, other };

  std::string key = {};  // an item of a list has the list's
  Site site = {};
  Kind kind = Kind::other;
  bool truth = false;
  Index whole = 0;
  double real = 0;
  std::string characters = {};
  std::vector<Value> items = {};

  bool flag() const;
  Index integer(Index least, Index most = largest_size) const;
  double number(double least, double most) const;  // whole numbers too; never NaN
  const std::string& text() const;
  const std::vector<Value>& list() const;
  const std::string& one_of(const std::vector<std::string>& valid) const;  // a text

  // Of a table.
  const Value* find(const std::string& name) const;  // null where it is not there
  const Value& at(const std::string& name) const;
  void allow(const std::vector<std::string>& names) const;  // throws Error at the first other key, with the nearest valid one

  const char* what() const;  // "a table", for messages
};

// A name, or a table with one key: the name, and what stands under it (a table). "cosine" and { step = { every = 2 } } are such.
struct Choice {
  std::string name;
  const Value* options = nullptr;  // null: the name alone
};
Choice choice_of(const Value& value, const std::vector<std::string>& valid);

// The whole file as a table. Throws Error where it is no TOML.
Value parse(const std::string& text, const std::string& file);

}  // namespace wengert::script
