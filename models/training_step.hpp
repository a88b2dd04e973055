// TrainingStep: one step of training, forward, backward and update, as a plan for one batch size.
#pragma once

#include <wengert/engine/plan/plan.hpp>
#include <wengert/models/model.hpp>
#include <wengert/models/update.hpp>

namespace wengert {

class TrainingStep {
 public:
  // Declares the network for `batch` images. Dropout draws from `seed`.
  TrainingStep(const Model& model, Update& update, Index batch, std::uint64_t seed, PlanOptions options);

  // To be filled before run(): images f32 (batch,C,H,W), labels i32 (batch).
  View images() { return plan_->input(images_); }
  View labels() { return plan_->input(labels_); }

  struct Result {
    double loss = 0;  // mean over the batch, before the update
    Index right = 0;
  };
  // Step t counts from 1. Throws NotFinite where a value is so; parameters are then as before.
  Result run(Index t, double rate);
  Plan& plan() { return *plan_; }

 private:
  const Update* update_;
  Var images_, labels_, step_;
  StepScalars scalars_;
  std::unique_ptr<Plan> plan_;
};

// How many of the rows of logits (N,C) have their maximum at the label.
Index count_right(const View& logits, const View& labels);

}  // namespace wengert
