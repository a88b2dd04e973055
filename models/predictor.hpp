// Predictor: a model's inference as a plan for one batch size. Made for one thread; several threads make one each.
#pragma once

#include <wengert/engine/plan/plan.hpp>
#include <wengert/models/model.hpp>

namespace wengert {

class Predictor {
 public:
  // Runs on the calling thread's executor, with its kernel choice and tuning, at the time of the call.
  Predictor(const Model& model, Index batch);
  Predictor(const Model& model, Index batch, PlanOptions options);

  // To be filled before run(): f32 (batch,C,H,W).
  View images() { return plan_->input(images_); }
  // Logits f32 (batch,classes), valid until the next run.
  View run();
  Plan& plan() { return *plan_; }

 private:
  Var images_;
  std::unique_ptr<Plan> plan_;
};

}  // namespace wengert
