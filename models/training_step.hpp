// TrainingStep: one step of training, forward, backward and update, as a plan for one batch size.
#pragma once

#include <optional>

#include <wengert/engine/plan/plan.hpp>
#include <wengert/models/model.hpp>
#include <wengert/models/update.hpp>

namespace wengert {

// A data set on the device on which a step runs: images u8 (n,C,H,W), labels i32 (n).
struct ResidentSet {
  Tensor images, labels;
};

// What steps on a device have added up there since somebody looked.
struct Totals {
  double loss = 0;  // sum over the images
  Index right = 0, steps = 0;
};

class TrainingStep {
 public:
  // Declares the network for `batch` images. Dropout draws from `seed`. With a set it reads its batch from there.
  TrainingStep(const Model& model, Update& update, Index batch, std::uint64_t seed, PlanOptions options, const ResidentSet* set = nullptr);

  // To be filled before run(): images f32 (batch,C,H,W), labels i32 (batch). Of a resident set, before start(): positions i32 (batch).
  View images() { return plan_->input(images_); }
  View labels() { return plan_->input(labels_); }
  View positions() { return plan_->input(positions_); }

  struct Result {
    double loss = 0;  // mean over the batch, before the update
    Index right = 0;
  };
  // Step t counts from 1. Throws NotFinite where a value is so; parameters are then as before.
  Result run(Index t, double rate);

  // A step on a device: given to it, and not waited for.
  void start(Index t, double rate);
  // Adds to `totals`, which many steps may share. Waits, and begins them anew. Throws NotFinite where a value of a step was so: that step and
  // all after it have changed nothing, and totals are those of the steps before.
  void read(Totals& totals);
  Plan& plan() { return *plan_; }

 private:
  const Update* update_;
  Var images_, labels_, positions_, step_;
  std::optional<Parameter> totals_;
  StepScalars scalars_;
  std::unique_ptr<Plan> plan_;
};

// How many of the rows of logits (N,C) have their maximum at the label.
Index count_right(const View& logits, const View& labels);

}  // namespace wengert
