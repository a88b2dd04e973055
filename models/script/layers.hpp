// Layers of a model script: from values to calls on a network's values.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <wengert/models/script/value.hpp>

namespace wengert::script {

// What a layer declares on the values it takes, each at the script's line and under the layer's name. It owns the layer's parameters.
using Call = std::function<Var(const std::vector<At>&)>;

struct Layer {
  std::string name;  // as given, else the kind and its number: "relu2"
  std::string kind;
  Site site;
  std::vector<std::size_t> from;  // values: 0 is the image, i the layer i - 1
  Call call;
};

// The layers in the script's order, their sizes inferred from the image (C,H,W). Throws Error at the first that is not right, or that
// asks for more weights than `most_weights` with those before it, or for more values than most_script_values.
std::vector<Layer> read_layers(const Value& list, const Shape& image, Index most_weights);

// Declares the layers on x (N,C,H,W); the result is the last one's.
Var declare(const std::vector<Layer>& layers, const Var& x);

}  // namespace wengert::script
