#include "experiment.hpp"

#include <algorithm>
#include <mutex>
#include <numeric>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>
#include <wengert/models/mnist_cnn.hpp>
#include <wengert/ops/cuda/device.hpp>

#include "../output.hpp"
#include "peer.hpp"

namespace wengert::command::experiment {

std::vector<std::string> present_of(const std::vector<std::string>& peers, const ExperimentSettings& settings) {
  std::vector<std::string> present;
  for (const std::string& name : peers) {
    if (peer_is_present(name, settings.peers_folder)) present.push_back(name);
  }
  return present;
}

bool answers(const Json& row, const Measurement& measurement) {
  if (text(row, "key") != measurement.key) return false;
  const std::vector<std::string> asked = texts(row, "peers");
  return std::all_of(measurement.peers.begin(), measurement.peers.end(),
                     [&](const std::string& name) { return std::find(asked.begin(), asked.end(), name) != asked.end(); });
}

std::vector<Measurement> measurements_of(const std::string& experiment, const ExperimentSettings& settings) {
  if (experiment == "speed") return speed_measurements(settings);
  if (experiment == "ladder") return ladder_measurements(settings);
  if (experiment == "scaling") return scaling_measurements(settings);
  if (experiment == "accuracy") return accuracy_measurements(settings);
  if (experiment == "curves") return curves_measurements(settings);
  if (experiment == "batch") return batch_measurements(settings);
  if (experiment == "rate") return rate_measurements(settings);
  if (experiment == "examples") return examples_measurements(settings);
  return experiment == "recall" ? recall_measurements(settings) : shift_measurements(settings);
}

void use(TrainerOptions& options, const Rung& implementation) {
  options.kernel = implementation.kernel;
  if (implementation.eager) options.kernel += ",auto";
  options.eager = implementation.eager;
}

TrainerOptions options_of(const Rung& implementation, Index batch, int threads, std::uint64_t seed) {
  TrainerOptions options;
  options.batch = batch, options.threads = threads, options.seed = seed;
  use(options, implementation);
  return options;
}

std::optional<Device> cuda_or_none() {
  try {
    return cuda_device(0);
  } catch (const Error& error) {  // no driver, no device, a build without CUDA
    static std::once_flag said;
    std::call_once(said, [&] { note(fmt::format("CUDA is left out: {}", error.what())); });
    return std::nullopt;
  }
}

Dataset::Batch images_from(const Dataset& set, Index first, Index count) {
  std::vector<Index> positions(static_cast<std::size_t>(count));
  std::iota(positions.begin(), positions.end(), first);
  return set.gather(positions.data(), count);
}

Trainer trainer_like(const Trainer& other, const TrainerOptions& options) {
  Trainer made(MnistCnn{}, Adam::report(), options);
  for (const Parameter& from : other.model().parameters()) made.model().parameter(from.name()).set_value(from.clone().value());
  return made;
}

Trainer warm_trainer(const ExperimentSettings& settings, Index batch) {
  TrainerOptions options;
  options.batch = batch, options.seed = settings.seed;
  Trainer trainer(MnistCnn{}, Adam::report(), options);
  FitOptions fit;
  fit.epochs = 1;
  fit.steps = settings.quick ? 20 : 300;
  trainer.fit(*settings.train, fit);
  return trainer;
}

}  // namespace wengert::command::experiment
