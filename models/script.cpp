#include <wengert/models/script.hpp>

#include <limits>
#include <span>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>
#include <wengert/models/files/input_file.hpp>
#include <wengert/models/script/layers.hpp>

namespace wengert {

namespace {

using script::Choice;
using script::Value;

void take(Index& target, const Value& table, const char* key, Index least, Index most = script::largest_size) {
  if (const Value* value = table.find(key)) target = value->integer(least, most);
}

void take(double& target, const Value& table, const char* key, double least, double most) {
  if (const Value* value = table.find(key)) target = value->number(least, most);
}

constexpr double largest_rate = 1e3, below_one = 1.0 - 1e-9;

Optimiser read_optimiser(const Value& value) {
  const Choice choice = script::choice_of(value, {"adam", "sgd"});
  if (choice.name == "adam") {
    Adam adam;
    if (choice.options == nullptr) return adam;
    const Value& options = *choice.options;
    options.allow({"rate", "beta1", "beta2", "epsilon", "weight_decay"});
    take(adam.rate, options, "rate", 0.0, largest_rate);
    take(adam.beta1, options, "beta1", 0.0, below_one);
    take(adam.beta2, options, "beta2", 0.0, below_one);
    take(adam.epsilon, options, "epsilon", 1e-30, 1.0);
    take(adam.weight_decay, options, "weight_decay", 0.0, 1.0);
    return adam;
  }
  Sgd sgd;
  if (choice.options == nullptr) return sgd;
  const Value& options = *choice.options;
  options.allow({"rate", "momentum", "weight_decay"});
  take(sgd.rate, options, "rate", 0.0, largest_rate);
  take(sgd.momentum, options, "momentum", 0.0, below_one);
  take(sgd.weight_decay, options, "weight_decay", 0.0, 1.0);
  return sgd;
}

void read_schedule(Schedule& schedule, const Value& value) {
  const Choice choice = script::choice_of(value, {"constant", "step", "cosine", "one_cycle"});
  if (choice.name == "step") schedule.kind = Schedule::Kind::step;
  if (choice.name == "cosine") schedule.kind = Schedule::Kind::cosine;
  if (choice.name == "one_cycle") schedule.kind = Schedule::Kind::one_cycle;
  if (choice.options == nullptr) return;
  if (choice.name != "step") {
    choice.options->allow({});
    return;
  }
  choice.options->allow({"factor", "every"});
  take(schedule.factor, *choice.options, "factor", 0.0, 1.0);
  take(schedule.every, *choice.options, "every", 1);
}

// { prefix = "conv", factor = 0.1 }, ...; each prefix begins the name of some layer's parameter.
std::vector<RateGroup> read_rate_groups(const Value& list, const std::vector<Parameter>& parameters) {
  std::vector<RateGroup> groups;
  for (const Value& item : list.list()) {
    item.allow({"prefix", "factor"});
    const Value& prefix = item.at("prefix");
    std::vector<std::string> names;
    bool begins = false;
    for (const Parameter& parameter : parameters) {
      names.push_back(parameter.name());
      begins = begins || parameter.name().rfind(prefix.text(), 0) == 0;
    }
    if (!begins) script::fail_at(prefix.site, "no parameter begins with '" + prefix.text() + "'" + suggestion(prefix.text(), names));
    groups.push_back({prefix.text(), item.at("factor").number(0.0, largest_rate)});
  }
  return groups;
}

void read_train(const Value& table, const std::vector<Parameter>& parameters, Script& result) {
  constexpr Index largest_count = Index{1} << 31;
  table.allow(
      {"batch", "epochs", "examples", "validation", "patience", "keep_best", "seed", "optimiser", "schedule", "warm_up", "rate_groups"});
  take(result.options.batch, table, "batch", 1);
  if (const Value* seed = table.find("seed"))
    result.options.seed = static_cast<std::uint64_t>(seed->integer(0, std::numeric_limits<Index>::max()));
  take(result.fit.epochs, table, "epochs", 0);
  take(result.fit.examples, table, "examples", 0, largest_count);
  take(result.fit.validation, table, "validation", 0, largest_count);
  take(result.fit.patience, table, "patience", 0);
  if (const Value* keep = table.find("keep_best")) result.fit.keep_best = keep->flag();
  if (const Value* optimiser = table.find("optimiser")) result.optimiser = read_optimiser(*optimiser);
  if (const Value* schedule = table.find("schedule")) read_schedule(result.options.schedule, *schedule);
  take(result.options.schedule.warm_up, table, "warm_up", 0, largest_count);
  if (const Value* groups = table.find("rate_groups")) result.options.rate_groups = read_rate_groups(*groups, parameters);
}

Shape read_input(const Value& value) {
  if (value.list().size() != 3) {
    script::fail_at(value.site, "'input': wanted [channels, height, width], got " + std::to_string(value.items.size()) + " numbers");
  }
  constexpr Index largest_side = Index{1} << 16;
  Shape shape;
  for (const Value& size : value.items) shape.push_back(size.integer(1, largest_side));
  if (shape.elements() > most_script_image) {
    script::fail_at(value.site, fmt::format("'input': wanted at most {} numbers an image, got {}", most_script_image, shape.elements()));
  }
  return shape;
}

}  // namespace

Script parse_script(const std::string& text, const std::string& file, Index most_weights) {
  const Value root = script::parse(text, file);
  root.allow({"name", "input", "layers", "train", "data"});
  Script result;
  result.text = text;
  result.name = std::filesystem::path(file).stem().string();
  if (const Value* name = root.find("name")) result.name = name->text();
  if (const Value* data = root.find("data")) result.data = data->text();
  result.input = read_input(root.at("input"));
  const auto layers =
      std::make_shared<const std::vector<script::Layer>>(script::read_layers(root.at("layers"), result.input, most_weights));
  for (const script::Layer& layer : *layers) result.layers.push_back({layer.name, layer.kind, layer.site.line});
  result.network = [layers](const Var& x) { return script::declare(*layers, x); };
  const Model model(result.network, result.input);
  if (const Value* train = root.find("train")) read_train(*train, model.parameters(), result);
  return result;
}

Script read_script(const std::filesystem::path& path) {
  constexpr std::uint64_t largest_script = 1 << 20;
  InputFile file(path, "script");
  if (file.bytes() > largest_script) file.refuse("a model script of at most 1 MiB", std::to_string(file.bytes()) + " bytes");
  std::string text(static_cast<std::size_t>(file.bytes()), '\0');
  text.resize(file.read(std::as_writable_bytes(std::span(text.data(), text.size()))));
  return parse_script(text, path.string());
}

}  // namespace wengert
