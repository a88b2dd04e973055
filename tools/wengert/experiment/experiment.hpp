// The experiments of the report and some more: what each measures, one measurement at a time, so that a run can be interrupted and go on.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <wengert/models/trainer.hpp>

#include "results.hpp"

namespace wengert::command::experiment {

struct ExperimentSettings {
  bool quick = false;                               // small sizes: to see that everything works
  std::uint64_t seed = 1;                           // of the first run; further ones count on from it
  std::vector<int> threads = {};                    // that speed is measured with: 1 among them, in rising order
  std::vector<int> scaling_threads = {};            // the same for scaling
  std::vector<std::string> peers = {};              // of peer_names()
  std::vector<std::string> earlier_peers = {};      // that speed was measured with before: what is measured again keeps them
  std::filesystem::path peers_folder = {};          // where setup-peers.sh put them
  const Dataset *train = nullptr, *test = nullptr;  // MNIST
};

// One row of results.
struct Measurement {
  std::string experiment, key, label;
  double seconds = 0;         // about what it will take, for the time left
  std::function<Json()> run;  // with the "peers" that answered
  // What earlier results tell about it, or null: then it need not be made.
  std::function<Json(const Results&)> known = {};
  std::vector<std::string> peers = {};  // of those that are there, the ones it asks: without them a result is not the wanted one
};

// Whether a row is this measurement's, and no peer has come to be there since.
bool answers(const Json& row, const Measurement& measurement);
std::vector<std::string> present_of(const std::vector<std::string>& peers, const ExperimentSettings& settings);

std::vector<Measurement> measurements_of(const std::string& experiment, const ExperimentSettings& settings);

std::vector<Measurement> speed_measurements(const ExperimentSettings& settings);  // speed.cpp
std::vector<Measurement> scaling_measurements(const ExperimentSettings& settings);
std::vector<Measurement> ladder_measurements(const ExperimentSettings& settings);    // ladder.cpp
std::vector<Measurement> accuracy_measurements(const ExperimentSettings& settings);  // accuracy.cpp
std::vector<Measurement> curves_measurements(const ExperimentSettings& settings);
std::vector<Measurement> batch_measurements(const ExperimentSettings& settings);  // sweeps.cpp
std::vector<Measurement> rate_measurements(const ExperimentSettings& settings);
std::vector<Measurement> examples_measurements(const ExperimentSettings& settings);
std::vector<Measurement> recall_measurements(const ExperimentSettings& settings);  // recall.cpp
std::vector<Measurement> shift_measurements(const ExperimentSettings& settings);

// The report's rungs and ours, as they are timed and trained: `eager`, op by op with one kernel; else the plan with all of them.
struct Rung {
  const char* name;
  const char* kernel;
  bool eager;
  bool naive() const { return std::string_view(name) == "naive"; }
};
inline constexpr Rung rungs[] = {
    {"naive", "naive", true}, {"matrix", "matrix", true}, {"im2col", "im2col", true}, {"direct", "direct", true}, {"plan", "auto", false}};
void use(TrainerOptions& options, const Rung& implementation);
TrainerOptions options_of(const Rung& implementation, Index batch, int threads, std::uint64_t seed);

// The report's sixth implementation, the plan on a CUDA device, or nothing where there is none.
std::optional<Device> cuda_or_none();

// Images first, first + 1, ... of a set, so many.
Dataset::Batch images_from(const Dataset& set, Index first, Index count);

// A trainer of the report's network with the same parameters as `other` has.
Trainer trainer_like(const Trainer& other, const TrainerOptions& options);
// One after some hundred planned steps: timings are taken with training under way.
Trainer warm_trainer(const ExperimentSettings& settings, Index batch);

}  // namespace wengert::command::experiment
