#include <wengert/models/script/kinds.hpp>

#include <fmt/format.h>

#include <wengert/models/layers.hpp>

namespace wengert::script {

namespace {

// "(N,8,24,24)": the shape of a value whose batch is not known yet.
std::string shown(const Shape& shape) {
  std::string result = "(N";
  for (int axis = 1; axis < shape.rank(); ++axis) result += "," + std::to_string(shape[axis]);
  return result + ")";
}

[[noreturn]] void refuse(const Draft& draft, const std::string& message) { fail_at(draft.site, "'" + draft.name + "': " + message); }

Index channels_of(const Draft& draft, int rank) {
  const Shape& x = draft.inputs[0].shape();
  if (x.rank() == rank) return x[1];
  if (rank == 2) refuse(draft, "wanted x (N,features), got " + shown(x) + "; a flatten layer before it makes that");
  refuse(draft, "wanted x (N,C,H,W), got " + shown(x));
}

// One whole number for both, or [height, width].
Extent2d extent_of(const Value& value) {
  if (value.kind != Value::Kind::list) return value.integer(1);
  if (value.items.size() != 2)
    fail_at(value.site, fmt::format("'{}': wanted [height, width], got {} numbers", value.key, value.items.size()));
  return {value.items[0].integer(1), value.items[1].integer(1)};
}

// A word, or [top, bottom, left, right].
Padding2d padding_of(const Value& value) {
  static const std::vector<std::string> words = {"valid", "same", "full"};
  if (value.kind == Value::Kind::list) {
    const std::vector<Value>& sides = value.items;
    if (sides.size() != 4) fail_at(value.site, fmt::format("'padding': wanted [top, bottom, left, right], got {} numbers", sides.size()));
    return Padding2d::sides(sides[0].integer(0), sides[1].integer(0), sides[2].integer(0), sides[3].integer(0));
  }
  if (value.kind != Value::Kind::text) {
    fail_at(value.site,
            fmt::format("'padding': wanted one of {} or [top, bottom, left, right], got {}", fmt::join(words, ", "), value.what()));
  }
  const std::string& word = value.one_of(words);
  return word == "same" ? Padding2d::same() : word == "full" ? Padding2d::full() : Padding2d::valid();
}

Activation activation_of(const Draft& draft) {
  const Value* value = draft.options.find("activation");
  if (value == nullptr) return Activation::none;
  const std::string& word = value->one_of({"none", "relu", "tanh", "sigmoid"});
  return word == "relu" ? Activation::relu : word == "tanh" ? Activation::tanh : word == "sigmoid" ? Activation::sigmoid : Activation::none;
}

WeightInit init_of(const Draft& draft) {
  const Value* value = draft.options.find("init");
  return value != nullptr && value->one_of({"he", "glorot"}) == "glorot" ? WeightInit::glorot : WeightInit::he;
}

bool flag_of(const Draft& draft, const char* key, bool otherwise) {
  const Value* value = draft.options.find(key);
  return value == nullptr ? otherwise : value->flag();
}

double number_of(const Draft& draft, const char* key, double otherwise, double least, double most) {
  const Value* value = draft.options.find(key);
  return value == nullptr ? otherwise : value->number(least, most);
}

// A misprinted size must not become a demand for all memory, nor a small file with a forged script.
void check_weights(const Draft& draft, Index a, Index b, Index c, Index d) {
  const double count = static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c) * static_cast<double>(d);
  const double most = draft.weights_left;
  if (count > most) refuse(draft, fmt::format("wanted at most {:.0f} more weights, got {:.0f}", most, count));
  draft.weights_left -= count;
}

Call make_conv2d(const Draft& draft) {
  Conv2d::Options o;
  o.in = channels_of(draft, 4);
  o.out = draft.options.at("filters").integer(1);
  o.size = extent_of(draft.options.at("size"));
  if (const Value* stride = draft.options.find("stride")) o.stride = extent_of(*stride);
  if (const Value* dilation = draft.options.find("dilation")) o.dilation = extent_of(*dilation);
  if (const Value* padding = draft.options.find("padding")) o.padding = padding_of(*padding);
  if (const Value* groups = draft.options.find("groups")) o.groups = groups->integer(1);
  o.bias = flag_of(draft, "bias", true);
  o.activation = activation_of(draft);
  o.init = init_of(draft);
  if (o.in % o.groups != 0 || o.out % o.groups != 0) {
    refuse(draft, fmt::format("wanted channels and filters that divide into {} groups, got {} and {}", o.groups, o.in, o.out));
  }
  check_weights(draft, o.out, o.in / o.groups, o.size.height, o.size.width);
  return [layer = Conv2d(draft.name, o)](const std::vector<At>& x) { return layer(x[0]); };
}

Call make_linear(const Draft& draft) {
  Linear::Options o;
  o.in = channels_of(draft, 2);
  o.out = draft.options.at("units").integer(1);
  o.bias = flag_of(draft, "bias", true);
  o.activation = activation_of(draft);
  o.init = init_of(draft);
  check_weights(draft, o.out, o.in, 1, 1);
  return [layer = Linear(draft.name, o)](const std::vector<At>& x) { return layer(x[0]); };
}

template <Var (*function)(const At&)>
Call make_simple(const Draft&) {
  return [](const std::vector<At>& x) { return function(x[0]); };
}

template <class Pool>
Call make_pool(const Draft& draft) {
  channels_of(draft, 4);
  Pool2dOptions o;
  o.window = extent_of(draft.options.at("window"));
  if (const Value* stride = draft.options.find("stride")) o.stride = extent_of(*stride);
  if (const Value* padding = draft.options.find("padding")) o.padding = padding_of(*padding);
  o.count_padding = flag_of(draft, "count_padding", false);
  return [layer = Pool(draft.name, o)](const std::vector<At>& x) { return layer(x[0]); };
}

Call make_global_average_pool2d(const Draft& draft) {
  channels_of(draft, 4);
  return make_simple<global_average_pool2d>(draft);
}

Call make_dropout(const Draft& draft) {
  constexpr double below_one = 1.0 - 1e-6;
  return [layer = Dropout(draft.name, {draft.options.at("rate").number(0.0, below_one)})](const std::vector<At>& x) { return layer(x[0]); };
}

Call make_batch_norm(const Draft& draft) {
  BatchNorm::Options o;
  o.channels = draft.inputs[0].shape()[1];
  check_weights(draft, o.channels, 1, 1, 1);
  o.epsilon = number_of(draft, "epsilon", o.epsilon, 1e-12, 1.0);
  o.momentum = number_of(draft, "momentum", o.momentum, 0.0, 1.0);
  return [layer = BatchNorm(draft.name, o)](const std::vector<At>& x) { return layer(x[0]); };
}

Call make_add(const Draft& draft) {
  const Shape& first = draft.inputs[0].shape();
  for (const Var& input : draft.inputs) {
    if (input.shape() != first) refuse(draft, "wanted values of one shape, got " + shown(first) + " and " + shown(input.shape()));
  }
  return [](const std::vector<At>& x) {
    Var sum = x[0].var;
    for (std::size_t i = 1; i < x.size(); ++i) sum = add(x[0](sum), x[i].var);
    return sum;
  };
}

Call make_concat(const Draft& draft) {
  const Shape& first = draft.inputs[0].shape();
  const Value* given = draft.options.find("axis");
  const int axis = given == nullptr ? 1 : static_cast<int>(given->integer(1, first.rank() - 1));
  for (const Var& input : draft.inputs) {
    Shape fitting = input.shape();
    if (fitting.rank() == first.rank()) fitting[axis] = first[axis];
    if (fitting != first)
      refuse(draft, fmt::format("wanted values that agree on all axes but {}, got {} and {}", axis, shown(first), shown(input.shape())));
  }
  return [axis](const std::vector<At>& x) {
    std::vector<Var> parts;
    for (const At& part : x) parts.push_back(part.var);
    return concatenate(parts, axis, x[0].name, x[0].site.file, x[0].site.line);
  };
}

}  // namespace

const std::vector<Kind>& kinds() {
  constexpr std::size_t several = 16;
  static const std::vector<Kind> all = {
      {"conv2d", {"filters", "size", "stride", "dilation", "padding", "groups", "bias", "activation", "init"}, 1, 1, make_conv2d},
      {"linear", {"units", "bias", "activation", "init"}, 1, 1, make_linear},
      {"relu", {}, 1, 1, make_simple<relu>},
      {"tanh", {}, 1, 1, make_simple<tanh>},
      {"sigmoid", {}, 1, 1, make_simple<sigmoid>},
      {"max_pool2d", {"window", "stride", "padding"}, 1, 1, make_pool<MaxPool2d>},
      {"average_pool2d", {"window", "stride", "padding", "count_padding"}, 1, 1, make_pool<AveragePool2d>},
      {"global_average_pool2d", {}, 1, 1, make_global_average_pool2d},
      {"flatten", {}, 1, 1, make_simple<flatten>},
      {"dropout", {"rate"}, 1, 1, make_dropout},
      {"batch_norm", {"epsilon", "momentum"}, 1, 1, make_batch_norm},
      {"add", {}, 2, several, make_add},
      {"concat", {"axis"}, 2, several, make_concat},
  };
  return all;
}

}  // namespace wengert::script
