// Wrong vjps of built-in ops, put in place of the right ones at run time: what the gradient check has to find.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <wengert/engine/catalogue.hpp>

namespace wengert::test {

struct Mutation {
  std::string what = {};
  std::string op = {};
  bool in_network = true;  // the report's network has a call of the op that it changes
  using Vjp = std::function<std::vector<Var>(const VjpCall&)>;
  std::function<std::vector<Var>(const VjpCall&, const Vjp& right)> vjp = {};
};

const std::vector<Mutation>& mutations();

// The built-in catalogue with one op's vjp changed.
Catalogue mutated(const Mutation& mutation);

}  // namespace wengert::test
