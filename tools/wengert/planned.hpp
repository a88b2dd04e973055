// A model script's plan, made as training or inference would make it: what `wengert plan` shows and `wengert tune` measures.
#pragma once

#include <memory>
#include <string>

#include <wengert/models/predictor.hpp>
#include <wengert/models/script.hpp>
#include <wengert/models/training_step.hpp>

namespace wengert::command {

struct PlanRequest {
  std::string script = {}, kernel = "auto", tuning = {};
  Index batch = 0;         // 0: as the script says
  int threads = 0;         // 0: all
  bool inference = false;  // the network alone, instead of a training step
  std::vector<std::string> no_fusions = {};
  Device device = {};
};

class Planned {
 public:
  explicit Planned(const PlanRequest& request);
  Planned(const Planned&) = delete;
  Planned& operator=(const Planned&) = delete;

  const Script& script() const { return script_; }
  Model& model() { return model_; }
  Index batch() const { return batch_; }
  int workers() const { return executor_->workers(); }
  Device device() const { return device_; }
  double milliseconds() const { return milliseconds_; }  // that declaring and planning took
  double flops() const;                                  // of convolutions and products, in one run; dense, however a kernel does them
  Plan& plan() const { return inference_ ? inference_->plan() : training_->plan(); }
  TrainingStep& training() { return *training_; }       // not of an inference
  Predictor& inference() const { return *inference_; }  // of an inference only
  // A second plan of the same training, on the same parameters and moments.
  std::unique_ptr<TrainingStep> another(std::shared_ptr<const plan::Tuning> tuning);
  const std::shared_ptr<Executor>& executor() const { return executor_; }

 private:
  PlanOptions options(std::shared_ptr<const plan::Tuning> tuning) const;

  Script script_;
  std::string kernel_;
  std::vector<std::string> no_fusions_;
  Device device_;
  Index batch_;
  std::shared_ptr<Executor> executor_;
  Model model_;
  Update update_;
  double milliseconds_ = 0;
  std::unique_ptr<TrainingStep> training_;
  std::unique_ptr<Predictor> inference_;
};

// The tuning file of --tuning, or null where none is given. One that does not fit this machine is refused in a line on standard error, and
// null stands for it; that it was measured for another script or number of threads is said there too. Throws Error where there is no such
// file.
std::shared_ptr<const plan::Tuning> open_tuning(const std::string& path, const std::string& script, int threads, Device device);

}  // namespace wengert::command
