// What the tests of training by plans share: batches of real digits, the model scripts, and a training without a Trainer.
#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <wengert/models/dataset.hpp>
#include <wengert/models/mnist_cnn.hpp>
#include <wengert/models/script.hpp>
#include <wengert/models/trainer.hpp>
#include <wengert/models/training_step.hpp>

#include "ops_support.hpp"
#include "plan_support.hpp"
#include "source_folder.hpp"

namespace wengert::test {

inline const Dataset& digits() {
  static const Dataset set = mnist::train().slice(0, 1024);
  return set;
}

inline Dataset::Batch batch_of(Index step, Index size) {
  std::vector<Index> positions(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = (step * size + static_cast<Index>(i)) % digits().size();
  return digits().gather(positions.data(), size);
}

inline std::vector<Tensor> values_of(const Model& model) {
  std::vector<Tensor> values;
  for (const Parameter& parameter : model.parameters())
    values.push_back(Tensor::copy(parameter.value().values<float>(), parameter.shape()));
  return values;
}

inline void set_values(const Model& model, const std::vector<Tensor>& values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    Parameter(model.parameters()[i]).set_value(Tensor::copy(values[i].values<float>(), values[i].shape()));
}

inline bool equal_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same_bits);
}

// |a - b| / |b - before|, as Euclidean lengths; `before` absent: |b|. Where nothing changed: 0, or infinity.
inline double relative_distance(const Tensor& a, const Tensor& b, const Tensor* before = nullptr) {
  double apart = 0, change = 0;
  for (Index i = 0; i < a.elements(); ++i) {
    apart += std::pow(a.at(i) - b.at(i), 2);
    change += std::pow(b.at(i) - (before != nullptr ? before->at(i) : 0), 2);
  }
  return apart == 0 ? 0 : std::sqrt(apart / change);
}

inline TrainerOptions options(Index batch, const std::string& kernel = "auto", bool eager = false, int threads = 1) {
  TrainerOptions result;
  result.batch = batch;
  result.threads = threads;
  result.kernel = kernel;
  result.eager = eager;
  return result;
}

// One training by plans of a network; run() makes steps and gives the parameters.
struct Training {
  explicit Training(const Network& network, const Optimiser& optimiser = Adam::report(), PlanOptions chosen = plan_options(),
                    Index batch = 32)
      : model(network, {1, 28, 28}), update(optimiser, {}), size(batch) {
    for (Parameter parameter : model.parameters()) parameter.initialise(1, false);  // networks may share them
    step.emplace(model, update, batch, 1, std::move(chosen));
  }

  std::vector<Tensor> run(Index count) {
    for (const Index end = done + count; done < end; ++done) {
      const Dataset::Batch batch = batch_of(done, size);
      std::copy_n(batch.images.values<float>().data(), batch.images.elements(), step->images().write<float>());
      std::copy_n(batch.labels.values<std::int32_t>().data(), batch.labels.elements(), step->labels().write<std::int32_t>());
      losses.push_back(step->run(done + 1, rate_of(update.optimiser())).loss);
    }
    return values_of(model);
  }

  Model model;
  Update update;
  Index size, done = 0;
  std::optional<TrainingStep> step;
  std::vector<double> losses = {};
};

inline std::vector<std::filesystem::path> scripts() {
  std::vector<std::filesystem::path> all;
  for (const auto& entry : std::filesystem::directory_iterator(source_folder() / "tools" / "scripts")) {
    if (entry.path().extension() == ".toml") all.push_back(entry.path());
  }
  std::sort(all.begin(), all.end());
  return all;
}

inline Var dropout_and_norm(Var x) {
  static const Conv2d conv("conv", {.in = 1, .out = 9, .size = 3, .stride = 2});
  static const BatchNorm norm("norm", {.channels = 9});
  static const Dropout drop("drop", {.rate = 0.3});
  static const Linear linear("linear", {.in = 9 * 6 * 6, .out = 10});
  x = max_pool2d(relu(norm(conv(x))), {.window = 2});
  return linear(drop(flatten(x)));
}

}  // namespace wengert::test
