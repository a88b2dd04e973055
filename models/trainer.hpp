// Trainer: fits a network to a data set, batch by batch, repeatably. It prints nothing: progress comes through callbacks.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include <wengert/models/evaluation.hpp>
#include <wengert/models/settings.hpp>

namespace wengert {

// After one batch, or a few.
struct BatchReport {
  Index epoch = 0, epochs = 0;    // epoch counts from 0
  Index batch = 0, batches = 0;   // of this epoch
  Index step = 0;                 // since the beginning, of all calls
  double loss = 0, accuracy = 0;  // of this batch (FitCallbacks::every: these batches), before its update
  double rate = 0;
};

// After one epoch: means over its batches (as trained), then the validation split where there is one. Of an epoch that was
// interrupted, seconds and images_per_second count the last call's part.
struct EpochReport {
  Index epoch = 0;
  Index step = 0;
  double loss = 0, accuracy = 0;
  std::optional<double> validation_loss = {}, validation_accuracy = {};
  double seconds = 0, images_per_second = 0;
};

struct History {
  std::vector<EpochReport> epochs = {};
  Index steps = 0;       // made by this call
  bool stopped = false;  // by a callback, by `steps` or by patience
};

// Returning false stops cleanly after the batch or epoch.
struct FitCallbacks {
  std::function<bool(const BatchReport&)> batch = {};
  // How many batches one report is about. On a device each report waits for what has been given to it, which takes longer than a step.
  Index every = 1;
  std::function<bool(const EpochReport&)> epoch = {};
  std::function<void(const std::string&)> note = {};  // what is good to know: a set that does not fit on the device
};

// What fit() trains on: the first images of the set, so many. Throws Error where it has not as many, or validation leaves none.
Index trained_images(const Dataset& set, const FitOptions& options);
// Their positions in the order of an epoch, counted from 0.
std::vector<Index> epoch_order(Index images, std::uint64_t seed, Index epoch);

class Trainer {
 public:
  // The network's parameters take the seed's initial values, unless values were set. `image` is (C,H,W), by default MNIST's.
  Trainer(Network network, Optimiser optimiser, TrainerOptions options = {}, const Shape& image = {1, 28, 28}, std::string script = {});
  ~Trainer();
  Trainer(Trainer&&) noexcept;
  Trainer& operator=(Trainer&&) noexcept;

  // Goes on from where the last call or resume() left off, up to options.epochs in all. Shuffles every epoch by (seed, epoch); the last batch
  // may be short. Throws Error: sets that do not fit, and a loss that is not finite, naming the batch and the first node that
  // is not finite; the parameters are then those before that batch. A resumed training takes only the data that it was begun with.
  History fit(const Dataset& set, const FitOptions& options = {}, const FitCallbacks& callbacks = {});

  // One step on one batch: images f32 (N,C,H,W), labels i32 (N). Returns the mean loss before the update. Before the first fit()
  // no run is planned, and the schedule does not act.
  double step(const Tensor& images, const Tensor& labels);

  Evaluation evaluate(const Dataset& set) const;  // on this trainer's threads and kernel
  Model& model();
  const Model& model() const;
  Index steps() const;  // made since the beginning

  // The model with the optimiser's moments, step, epoch, seed, what patience and keep_best look back on, and all that resume() checks.
  void save(const std::filesystem::path& path) const;
  // Continues a saved training exactly; threads may differ. Throws Error where batch, seed, kernel, script or optimiser differ, and says so.
  void resume(const std::filesystem::path& path);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace wengert
