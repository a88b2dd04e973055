// Model: a network with its parameters, for inference, saving and loading. Several threads may run one at once.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <wengert/engine/parameter.hpp>
#include <wengert/engine/tape.hpp>

namespace wengert {

// A network: declares its graph for x (N,C,H,W) and returns the logits (N,classes).
using Network = std::function<Var(Var x)>;

struct SafetensorsFile;

// What loading by name left out.
struct LoadReport {
  std::vector<std::string> loaded;
  std::vector<std::string> missing;     // in the model, not in the file
  std::vector<std::string> unexpected;  // in the file, not in the model
  std::vector<std::string> unfit;       // of another shape or dtype
};

class Model {
 public:
  // `image` is the shape of one input, (C,H,W). Declares the network once to find its parameters, in order of first use;
  // throws Error where shapes do not fit, two parameters share a name, or a name begins with "optimiser.". `script` is the model script of
  // this network, which saved files carry so that they can be opened alone, or empty; one of another network is an Error.
  Model(Network network, const Shape& image, std::string script = {});

  // Logits (N,classes) of images (N,C,H,W), without recording, in evaluation mode, on the calling thread's executor. Both are on device().
  Tensor operator()(const Tensor& images) const;
  const Network& network() const { return network_; }
  const Shape& image() const { return image_; }
  const std::string& script() const { return script_; }
  Index classes() const { return classes_; }

  const std::vector<Parameter>& parameters() const { return parameters_; }
  // Where the parameters live, and inference runs. Throws Error where the device has not been opened.
  void to(Device device);
  Device device() const { return parameters_.empty() ? Device{} : parameters_.front().device(); }
  Parameter parameter(const std::string& name) const;  // throws Error with the nearest name
  Index parameter_count() const;                       // of trained elements
  void initialise(std::uint64_t seed);                 // parameters that were never set
  // Freezes (or thaws) every parameter whose name begins with the prefix; returns how many. Throws Error where none does.
  Index freeze(const std::string& prefix, bool frozen = true);

  // A safetensors file: the parameters by name, the script in the metadata. Written aside and renamed.
  // `extra`: further tensors under their own names (moments).
  void save(const std::filesystem::path& path, const std::map<std::string, std::string>& metadata = {},
            const std::vector<Parameter>& extra = {}) const;
  // Parameters by name. Strict: anything missing, unexpected or unfit is an Error and nothing changes; else what fits is taken.
  LoadReport load(const std::filesystem::path& path, bool strict = true);
  LoadReport load(const SafetensorsFile& file, const std::filesystem::path& path,
                  bool strict = true);  // read already; the path is for messages

 private:
  void check_script() const;

  Network network_;
  Shape image_;
  std::string script_;
  Index classes_ = 0;
  std::vector<Parameter> parameters_;
};

// The metadata of a saved file.
std::map<std::string, std::string> read_metadata(const std::filesystem::path& path);

// What a saved file says about itself: `script`, `input` ("1,28,28") and what training added.
constexpr const char* script_key = "wengert.script";
constexpr const char* input_key = "wengert.input";
constexpr const char* batch_key = "wengert.batch";
constexpr const char* seed_key = "wengert.seed";
constexpr const char* kernel_key = "wengert.kernel";
constexpr const char* execution_key = "wengert.execution";  // planned or eager
constexpr const char* no_fusion_key = "wengert.no-fusion";  // names, with ", " between them
constexpr const char* rate_key = "wengert.rate";
constexpr const char* epochs_key = "wengert.epochs";
constexpr const char* examples_key = "wengert.examples";
constexpr const char* validation_key = "wengert.validation";
constexpr const char* patience_key = "wengert.patience";
constexpr const char* keep_best_key = "wengert.keep_best";
constexpr const char* data_source_key = "wengert.data_source";  // Dataset::source of the training set
constexpr const char* moment_prefix = "optimiser.";             // of tensors that are not parameters of the network
constexpr const char* best_prefix = "optimiser.best.";          // of those, the parameters of the best epoch so far

}  // namespace wengert
