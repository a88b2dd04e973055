#include "planned.hpp"

#include <chrono>

#include <fmt/format.h>

#include <wengert/backends/tbb/executor.hpp>
#include <wengert/engine/plan/report.hpp>
#include <wengert/models/tuning_file.hpp>
#include <wengert/ops/fusion/fusions.hpp>

#include "data.hpp"
#include "output.hpp"

namespace wengert::command {

Planned::Planned(const PlanRequest& request)
    : script_(open_script(request.script)),
      kernel_(request.kernel),
      no_fusions_(request.no_fusions),
      device_(request.device),
      batch_(request.batch > 0 ? request.batch : script_.options.batch),
      executor_(tbb_executor(request.threads)),
      model_(script_.network, script_.input, script_.text),
      update_(script_.optimiser, script_.options.rate_groups) {
  model_.initialise(script_.options.seed);
  model_.to(device_);
  const std::shared_ptr<const plan::Tuning> tuning = open_tuning(request.tuning, script_.name, request.threads, request.device);
  PlanOptions made = options(tuning);
  const auto start = std::chrono::steady_clock::now();
  if (request.inference) inference_ = std::make_unique<Predictor>(model_, batch_, std::move(made));
  else training_ = std::make_unique<TrainingStep>(model_, update_, batch_, script_.options.seed, std::move(made));
  milliseconds_ = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

double Planned::flops() const {
  double sum = 0;
  for (const plan::StepRow& row : plan::rows(plan())) sum += row.flops;
  return sum;
}

std::unique_ptr<TrainingStep> Planned::another(std::shared_ptr<const plan::Tuning> tuning) {
  return std::make_unique<TrainingStep>(model_, update_, batch_, script_.options.seed, options(std::move(tuning)));
}

PlanOptions Planned::options(std::shared_ptr<const plan::Tuning> tuning) const {
  PlanOptions options = plan_options(KernelChoice::parse(kernel_), executor_, no_fusions_);
  options.tuning = std::move(tuning);
  options.device = device_;
  return options;
}

std::shared_ptr<const plan::Tuning> open_tuning(const std::string& path, const std::string& script, int threads, Device device) {
  if (path.empty()) return nullptr;
  TuningFile file = read_tuning(path, device);
  if (file.tuning && file.tuning->script != script) {
    warn(fmt::format("[tuning '{}'] it was measured for '{}', this is '{}': what it does not know takes the usual kernels", path,
                     file.tuning->script, script));
  }
  if (const int here = tbb_executor(threads)->workers(); file.tuning && device == Device{} && file.tuning->threads != here) {
    warn(fmt::format("[tuning '{}'] it was measured with threads {}, this run has {}: another kernel may be the fastest", path,
                     file.tuning->threads, here));
  }
  if (file.tuning) return std::make_shared<const plan::Tuning>(std::move(*file.tuning));
  warn(file.refusal + "; kernels are chosen without it");
  return nullptr;
}

}  // namespace wengert::command
