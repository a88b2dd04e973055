// What experiments that train share: a training from its seed to its accuracy on the test set, by us or by a peer.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <wengert/models/script.hpp>

#include "experiment.hpp"

namespace wengert::command::experiment {

// Of the script mnist_cnn, or of less for a quick run.
struct Training {
  Script script;

  Training(const ExperimentSettings& settings, std::uint64_t seed);
};

struct Outcome {
  std::shared_ptr<Trainer> trainer = {};
  double accuracy = nothing, seconds = 0;
  std::string failure = {};                          // why it has no accuracy
  std::vector<double> losses = {}, accuracies = {};  // of the epochs: training loss, test accuracy where asked for

  Json accuracy_or_null() const { return failure.empty() ? Json(accuracy) : Json(); }
  Json seconds_or_null() const { return failure.empty() && seconds > 0 ? Json(seconds) : Json(); }  // none of a part of an epoch
};
Outcome run(const ExperimentSettings& settings, const Training& training, bool each_epoch = false);

// A peer's answer to "train", from our initial weights, with our order of images and our rates; or {"note": why there is none}.
Json peer_training(const ExperimentSettings& settings, const std::string& name, const Training& training);
std::vector<std::string> training_peers(const ExperimentSettings& settings);  // of the wanted ones those that train

std::vector<std::uint64_t> seeds_of(const ExperimentSettings& settings);
double epoch_seconds(Index batch);  // about what a planned one takes, for the time left

}  // namespace wengert::command::experiment
