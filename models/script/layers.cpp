#include <wengert/models/script/layers.hpp>

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include <wengert/engine/context.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/tape.hpp>
#include <wengert/models/model.hpp>
#include <wengert/models/script.hpp>
#include <wengert/models/script/kinds.hpp>

namespace wengert::script {

namespace {

constexpr const char* image_name = "input";

// A layer's table as read, before its sizes are known.
struct Entry {
  Site site;
  const Kind* kind = nullptr;
  std::string name;
  const Value* from = nullptr;  // null: the layer before
  Value options;                // what stands beside the kind or in its table
};

std::vector<std::string> kind_names() {
  std::vector<std::string> names;
  for (const Kind& kind : kinds()) names.push_back(kind.name);
  return names;
}

const Kind* find_kind(const std::string& name) {
  const auto found = std::find_if(kinds().begin(), kinds().end(), [&](const Kind& kind) { return kind.name == name; });
  return found == kinds().end() ? nullptr : &*found;
}

// The item of the table that says the kind.
const Value& kind_item(const Value& table) {
  const Value* found = nullptr;
  for (const Value& item : table.items) {
    if (find_kind(item.key) == nullptr) continue;
    if (found != nullptr) fail_at(item.site, "wanted one kind of layer, got '" + found->key + "' and '" + item.key + "'");
    found = &item;
  }
  if (found != nullptr) return *found;
  const std::vector<std::string> valid = kind_names();
  for (const Value& item : table.items) {
    if (!nearest_name(item.key, valid).empty()) fail_at(item.site, "unknown layer '" + item.key + "'" + suggestion(item.key, valid));
  }
  const auto other =
      std::find_if(table.items.begin(), table.items.end(), [](const Value& item) { return item.key != "name" && item.key != "from"; });
  if (other != table.items.end()) fail_at(other->site, "unknown layer '" + other->key + "'" + suggestion(other->key, valid));
  fail_at(table.site, fmt::format("wanted a kind of layer, one of {}", fmt::join(valid, ", ")));
}

Entry read_entry(const Value& table) {
  if (table.kind != Value::Kind::table) fail_at(table.site, std::string("wanted a layer, such as { relu = {} }, got ") + table.what());
  const Value& item = kind_item(table);
  Entry entry;
  entry.site = table.site;
  entry.kind = find_kind(item.key);
  entry.options = Value{"", item.site, Value::Kind::table};
  entry.options.key = item.key;
  std::vector<std::string> outer = entry.kind->keys;
  outer.insert(outer.end(), {"name", "from", item.key});
  table.allow(outer);
  for (const Value& beside : table.items) {
    if (beside.key == "name") entry.name = beside.text();
    else if (beside.key == "from") entry.from = &beside;
    else if (&beside != &item) entry.options.items.push_back(beside);
  }
  if (item.kind == Value::Kind::table) {
    item.allow(entry.kind->keys);
    for (const Value& inside : item.items) {
      if (entry.options.find(inside.key) != nullptr) fail_at(inside.site, "'" + inside.key + "' is given twice");
      entry.options.items.push_back(inside);
    }
  } else if (item.kind == Value::Kind::text) {
    if (!entry.name.empty()) fail_at(item.site, "the layer has two names, '" + item.characters + "' and '" + entry.name + "'");
    entry.name = item.characters;
  } else {
    fail_at(item.site, "'" + item.key + "': wanted the layer's name or a table, got " + item.what());
  }
  return entry;
}

// Names those without a name after their kind, and refuses a name that is taken.
void settle_names(std::vector<Entry>& entries) {
  std::map<std::string, int> counts, lines;
  for (Entry& entry : entries) {
    const int number = ++counts[entry.kind->name];
    if (entry.name.empty()) entry.name = entry.kind->name + std::to_string(number);
    if (entry.name == image_name) fail_at(entry.site, "a layer cannot be named 'input': that is the image");
    if (entry.name.rfind(moment_prefix, 0) == 0) {
      fail_at(entry.site, fmt::format("a layer's name cannot begin with '{}': in files that means the optimiser's tensors", moment_prefix));
    }
    const auto [first, is_new] = lines.emplace(entry.name, entry.site.line);
    if (!is_new) fail_at(entry.site, fmt::format("two layers are named '{}', the first on line {}", entry.name, first->second));
  }
}

// The value that layer number `layer` means by a name.
std::size_t find_source(const Value& source, const std::vector<Entry>& entries, std::size_t layer) {
  const std::string& name = source.text();
  if (name == image_name) return 0;
  std::vector<std::string> valid = {image_name};
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].name != name) {
      if (i < layer) valid.push_back(entries[i].name);
    } else if (i < layer) {
      return i + 1;
    } else {
      if (i == layer) fail_at(source.site, "layer '" + name + "' takes itself");
      fail_at(source.site, fmt::format("layer '{}' comes later, on line {}: a layer takes those before it", name, entries[i].site.line));
    }
  }
  fail_at(source.site, "unknown layer '" + name + "'" + suggestion(name, valid));
}

std::vector<std::size_t> sources_of(const std::vector<Entry>& entries, std::size_t layer) {
  const Entry& entry = entries[layer];
  std::vector<std::size_t> sources;
  if (entry.from == nullptr) {
    sources.push_back(layer);
  } else if (entry.from->kind == Value::Kind::list) {
    for (const Value& source : entry.from->items) sources.push_back(find_source(source, entries, layer));
  } else {
    sources.push_back(find_source(*entry.from, entries, layer));
  }
  if (sources.size() < entry.kind->least_inputs || sources.size() > entry.kind->most_inputs) {
    const std::string wanted = entry.kind->most_inputs == 1
                                   ? "one value"
                                   : fmt::format("{} to {} values named in 'from'", entry.kind->least_inputs, entry.kind->most_inputs);
    fail_at(entry.site, fmt::format("'{}': {} takes {}, got {}", entry.name, entry.kind->name, wanted, sources.size()));
  }
  return sources;
}

Var call(const Layer& layer, const std::vector<Var>& values) {
  std::vector<At> inputs;
  for (const std::size_t source : layer.from) inputs.push_back(At(values[source], layer.site).named(layer.name));
  return layer.call(inputs);
}

void want_all_used(const std::vector<Layer>& layers) {
  for (std::size_t i = 0; i + 1 < layers.size(); ++i) {
    const auto takes = [&](const Layer& layer) { return std::count(layer.from.begin(), layer.from.end(), i + 1) > 0; };
    if (std::none_of(layers.begin(), layers.end(), takes))
      fail_at(layers[i].site, "no layer takes '" + layers[i].name + "', and it is not the last");
  }
}

constexpr Index any_batch = 2;

// A misprinted or forged size must not become a demand for all memory.
void want_room(const Layer& layer, const Shape& output, double& values_left) {
  const double count = static_cast<double>(output.elements()) / any_batch;
  if (count > values_left) {
    fail_at(layer.site, fmt::format("'{}': wanted at most {:.0f} more numbers an image, got {:.0f}", layer.name, values_left, count));
  }
  values_left -= count;
}

}  // namespace

std::vector<Layer> read_layers(const Value& list, const Shape& image, Index most_weights) {
  auto weights_left = static_cast<double>(most_weights);
  auto values_left = static_cast<double>(most_script_values);
  std::vector<Entry> entries;
  for (const Value& table : list.list()) entries.push_back(read_entry(table));
  if (entries.empty()) fail_at(list.site, "'layers': wanted at least one layer");
  settle_names(entries);

  Shape batch{any_batch};
  for (const Index size : image) batch.push_back(size);
  Scope scope;
  Context::current().recording = true;
  Context::current().training = false;
  Context::current().choice = {};
  Tape tape(Tape::Mode::declaring);
  std::vector<Var> values = {tape.batch(Tensor::declared({batch, DType::f32}), image_name)};
  std::vector<Layer> layers;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    Layer layer{entry.name, entry.kind->name, entry.site, sources_of(entries, i), {}};
    std::vector<Var> inputs;
    for (const std::size_t source : layer.from) inputs.push_back(values[source]);
    layer.call = entry.kind->make({entry.options, layer.name, layer.site, inputs, weights_left});
    try {
      values.push_back(call(layer, values));
    } catch (const Error& error) {
      if (std::string(error.what()).rfind("[script ", 0) == 0) throw;
      fail_at(layer.site, error.what());
    }
    want_room(layer, values.back().shape(), values_left);
    layers.push_back(std::move(layer));
  }
  want_all_used(layers);
  if (const Shape& logits = values.back().shape(); logits.rank() != 2) {
    fail_at(layers.back().site,
            fmt::format("'{}': wanted logits (N,classes) of the last layer, got a value of rank {}", layers.back().name, logits.rank()));
  }
  return layers;
}

Var declare(const std::vector<Layer>& layers, const Var& x) {
  std::vector<Var> values = {x};
  for (const Layer& layer : layers) values.push_back(call(layer, values));
  return values.back();
}

}  // namespace wengert::script
