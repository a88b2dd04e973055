// Predictor: a model's inference as a plan for one batch size. Made for one thread; several threads make one each.
#pragma once

#include <wengert/engine/plan/plan.hpp>
#include <wengert/models/dataset.hpp>
#include <wengert/models/model.hpp>

namespace wengert {

class Predictor {
 public:
  // Runs on the calling thread's executor, with its kernel choice and tuning, at the time of the call.
  Predictor(const Model& model, Index batch);
  Predictor(const Model& model, Index batch, PlanOptions options);

  // Before run(): the images at `batch` positions of the set, their labels to `labels`; or images f32 (batch,C,H,W). Throws Error where they are
  // of another shape than the model's.
  void gather(const Dataset& set, const Index* positions, std::int32_t* labels);
  void set_images(const Tensor& images);
  // The same memory, f32 (batch,C,H,W), for those who fill it themselves and keep to its shape.
  View images() { return plan_->input(images_); }
  // Logits f32 (batch,classes), valid until the next run.
  View run();
  Plan& plan() { return *plan_; }

 private:
  Shape image_;
  Var images_;
  std::unique_ptr<Plan> plan_;
};

}  // namespace wengert
