// The one exception that users see, and the nearest-name suggestion that its messages carry.
#pragma once

#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace wengert {

// Bad input of any kind. The message is one line: "[who] what was wanted, what was got".
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

[[noreturn]] void fail(const std::string& message);  // throws Error

// The valid name nearest to a misspelt one (edit distance), or empty where none is near.
std::string nearest_name(std::string_view wrong, std::span<const std::string> valid);

// "; did you mean 'x'?" where a name is near, else "; valid: a, b, c".
std::string suggestion(std::string_view wrong, std::span<const std::string> valid);

}  // namespace wengert
