// JSON on standard output.
#pragma once

#include <nlohmann/json.hpp>

#include "output.hpp"

namespace wengert::command {

// Bytes that are no UTF-8, of a file's name say, become U+FFFD. `indent` -1: one line.
template <class Json>
std::string json_text(const Json& json, int indent = 2) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace wengert::command
