// What an expected error says.
#pragma once

#include <string>
#include <string_view>

#include <wengert/engine/error.hpp>

namespace wengert::test {

// What the call throws as such an error, else "no error"; any other exception passes through and fails the test.
template <class ErrorType = Error, class Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const ErrorType& error) {
    return error.what();
  }
  return "no error";
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace wengert::test
