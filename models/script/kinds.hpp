// Kinds of layers that a model script knows.
#pragma once

#include <wengert/models/script/layers.hpp>

namespace wengert::script {

// What a kind is made from: the keys beside it, the layer's name and what it is called on.
struct Draft {
  const Value& options;  // a table that holds only keys of the kind
  const std::string& name;
  const Site& site;
  const std::vector<Var>& inputs;
  double& weights_left;  // that the script may still ask for
};

struct Kind {
  const char* name;
  std::vector<std::string> keys;
  std::size_t least_inputs = 1, most_inputs = 1;
  Call (*make)(const Draft& draft) = nullptr;
};

const std::vector<Kind>& kinds();

}  // namespace wengert::script
