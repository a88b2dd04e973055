#include <wengert/models/model.hpp>

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <wengert/engine/context.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/models/files/safetensors.hpp>
#include <wengert/models/script.hpp>

namespace wengert {

Model::Model(Network network, const Shape& image, std::string script)
    : network_(std::move(network)), image_(image), script_(std::move(script)) {
  constexpr Index any_batch = 2;
  Shape batch{any_batch};
  for (const Index size : image) batch.push_back(size);
  Scope scope;
  Context::current().recording = true;
  Context::current().training = false;
  Tape tape(Tape::Mode::declaring);
  const Var logits = network_(tape.batch(Tensor::declared({batch, DType::f32}), "image"));
  if (logits.shape().rank() != 2 || logits.shape()[0] != any_batch) {
    fail("[model] wanted a network that gives logits (N,classes), got " + logits.spec().text() + " for a batch of " +
         std::to_string(any_batch));
  }
  classes_ = logits.shape()[1];
  parameters_ = tape.parameters();
  for (const Parameter& parameter : parameters_) {
    if (parameter.name().rfind(moment_prefix, 0) == 0) {
      fail(fmt::format("[model] wanted parameter names that do not begin with '{}', got '{}'", moment_prefix, parameter.name()));
    }
  }
  if (!script_.empty()) check_script();
}

// A file with the script of another network could never be opened again.
void Model::check_script() const {
  const Script script = parse_script(script_, "of the model");
  const Model described(script.network, script.input);
  const auto refuse = [](const std::string& wanted, const std::string& got) {
    fail("[model] wanted the script of this network, with " + wanted + ", got one with " + got);
  };
  if (script.input != image_) refuse("images " + image_.text(), script.input.text());
  for (std::size_t i = 0; i < std::max(parameters_.size(), described.parameters_.size()); ++i) {
    const auto text = [i](const std::vector<Parameter>& all) {
      return i < all.size() ? "'" + all[i].name() + "' " + all[i].shape().text() : "none";
    };
    if (text(parameters_) != text(described.parameters_))
      refuse(fmt::format("{} as parameter {}", text(parameters_), i + 1), text(described.parameters_));
  }
}

Tensor Model::operator()(const Tensor& images) const {
  if (images.shape().rank() != image_.rank() + 1 || !std::equal(image_.begin(), image_.end(), images.shape().begin() + 1) ||
      images.dtype() != DType::f32) {
    fail("[model] wanted images f32 (N," + image_.text().substr(1) + ", got " + images.spec().text());
  }
  Scope scope;
  Context::current().recording = false;
  Context::current().training = false;
  return network_(Var(images, true)).value();
}

Parameter Model::parameter(const std::string& name) const {
  std::vector<std::string> names;
  for (const Parameter& known : parameters_) {
    if (known.name() == name) return known;
    names.push_back(known.name());
  }
  fail("[model] there is no parameter '" + name + "'" + suggestion(name, names));
}

Index Model::parameter_count() const {
  Index count = 0;
  for (const Parameter& parameter : parameters_) {
    if (parameter.role() == Parameter::Role::trained) count += parameter.shape().elements();
  }
  return count;
}

void Model::to(Device device) {
  for (const Parameter& parameter : parameters_) parameter.to(device);
}

void Model::initialise(std::uint64_t seed) {
  for (Parameter& parameter : parameters_) parameter.initialise(seed);
}

Index Model::freeze(const std::string& prefix, bool frozen) {
  Index count = 0;
  std::vector<std::string> names;
  for (Parameter& parameter : parameters_) {
    names.push_back(parameter.name());
    if (parameter.name().compare(0, prefix.size(), prefix) != 0) continue;
    parameter.freeze(frozen);
    ++count;
  }
  if (count == 0) fail("[model] no parameter begins with '" + prefix + "'" + suggestion(prefix, names));
  return count;
}

void Model::save(const std::filesystem::path& path, const std::map<std::string, std::string>& metadata,
                 const std::vector<Parameter>& extra) const {
  SafetensorsFile file;
  file.metadata = metadata;
  if (!script_.empty()) file.metadata[script_key] = script_;
  file.metadata[input_key] = fmt::format("{}", fmt::join(image_.begin(), image_.end(), ","));
  for (const auto* list : {&parameters_, &extra}) {
    for (const Parameter& parameter : *list) file.tensors.push_back(store(parameter.name(), parameter.value()));
  }
  write_safetensors(path, file);
}

std::map<std::string, std::string> read_metadata(const std::filesystem::path& path) { return read_safetensors(path).metadata; }

LoadReport Model::load(const std::filesystem::path& path, bool strict) { return load(read_safetensors(path), path, strict); }

LoadReport Model::load(const SafetensorsFile& file, const std::filesystem::path& path, bool strict) {
  LoadReport report;
  for (const Parameter& parameter : parameters_) {
    const StoredTensor* stored = file.find(parameter.name());
    if (stored == nullptr) report.missing.push_back(parameter.name());
    else if (const Spec wanted = parameter.tensor().spec(); stored->spec != wanted)
      report.unfit.push_back(fmt::format("{} (wanted {}, found {})", parameter.name(), wanted.text(), stored->spec.text()));
    else report.loaded.push_back(parameter.name());
  }
  for (const StoredTensor& stored : file.tensors) {
    const bool known =
        std::any_of(parameters_.begin(), parameters_.end(), [&](const Parameter& parameter) { return parameter.name() == stored.name; });
    if (!known && stored.name.rfind(moment_prefix, 0) != 0) report.unexpected.push_back(stored.name);
  }
  if (strict && !(report.missing.empty() && report.unexpected.empty() && report.unfit.empty())) {
    fail(fmt::format("[load '{}'] the file does not fit the model: missing [{}], unexpected [{}], of another shape [{}]", path.string(),
                     fmt::join(report.missing, ", "), fmt::join(report.unexpected, ", "), fmt::join(report.unfit, ", ")));
  }
  for (Parameter& parameter : parameters_) {
    const StoredTensor* stored = file.find(parameter.name());
    if (stored != nullptr && stored->spec == parameter.tensor().spec()) parameter.set_value(restore(*stored));
  }
  return report;
}

}  // namespace wengert
