// wengert bench step: one training step of a network on real batches (random ones where no data set fits), training under way.
#include <algorithm>
#include <chrono>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <wengert/backends/direct/target.hpp>
#include <wengert/models/script.hpp>
#include <wengert/models/trainer.hpp>

#include "bench.hpp"
#include "command.hpp"
#include "data.hpp"
#include "images.hpp"
#include "json.hpp"
#include "options.hpp"
#include "output.hpp"
#include "peak.hpp"
#include "planned.hpp"

namespace wengert::command {

namespace {

struct StepArguments : PlanRequest {
  std::string data, target;
  Index steps = 40, warm_up = 5;
  bool json = false, eager = false;
  StepArguments() : PlanRequest{.script = "mnist_cnn", .batch = 64} {}
};

// Steps as training makes them on a device: on the set that lies there, a group of them given before anybody waits; the mean of each group.
std::vector<double> seconds_on_device(Trainer& trainer, const Dataset& set, Index warm_up, Index steps) {
  using Clock = std::chrono::steady_clock;
  constexpr Index most = 20;
  const Index group = std::min(most, steps);
  FitOptions fit;
  fit.steps = std::max<Index>(1, warm_up);
  fit.epochs = fit.steps + group + steps;  // never reached
  trainer.fit(set, fit);
  std::vector<double> seconds;
  Clock::time_point before;
  Index last = -1;  // the step that the last report came after; the first report's group has the beginning of fit() in it
  FitCallbacks callbacks;
  callbacks.every = group;
  callbacks.batch = [&](const BatchReport& report) {
    const Clock::time_point now = Clock::now();
    if (last >= 0) seconds.push_back(std::chrono::duration<double>(now - before).count() / static_cast<double>(report.step - last));
    before = now, last = report.step;
    return true;
  };
  fit.steps = group + steps;
  trainer.fit(set, fit, callbacks);
  return seconds;
}

int run(const StepArguments& a) {
  if (!a.target.empty()) direct::set_target(a.target);
  Script script = read_script(find_script(a.script));
  TrainerOptions options = script.options;
  options.batch = a.batch;
  options.kernel = a.kernel;
  options.threads = a.threads;
  options.eager = a.eager;
  options.no_fusions = a.no_fusions;
  options.device = a.device;
  options.tuning = open_tuning(a.tuning, script.name, a.threads, a.device);
  Trainer trainer(std::move(script.network), script.optimiser, options, script.input);
  const Images set(a.data, script, trainer.model(), Split::train, a.batch);
  const Shape& image = script.input;
  Tensor images = Tensor::uninitialised({{a.batch, image[0], image[1], image[2]}, DType::f32});
  Tensor labels = Tensor::uninitialised({{a.batch}, DType::i32});
  const Planned planned({.script = a.script, .batch = a.batch, .threads = a.threads});  // for the FLOPs, which any plan has alike
  std::vector<double> seconds;
  const bool on_device = a.device != Device{};
  if (on_device) seconds = seconds_on_device(trainer, set.set(), a.warm_up, a.steps);
  for (Index step = 0; step < a.warm_up + a.steps && !on_device; ++step) {
    set.fill(step, images.mutable_view(), labels.mutable_view().write<std::int32_t>());
    const auto start = std::chrono::steady_clock::now();
    trainer.step(images, labels);
    if (step >= a.warm_up) seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  const double middle = median(seconds), least = *std::min_element(seconds.begin(), seconds.end());
  const Share share = share_of_peak(planned.flops(), DType::f32, middle, planned.workers());
  constexpr double milliseconds = 1e3;
  if (a.json) {
    const nlohmann::json result = {{"ms_per_step", milliseconds * middle},
                                   {"least_ms", milliseconds * least},
                                   {"share_of_peak", on_device ? nlohmann::json() : nlohmann::json(share.part)},
                                   {"device", text_of(a.device)},
                                   {"batch", a.batch},
                                   {"threads", a.threads},
                                   {"kernel", a.kernel},
                                   {"steps", a.steps}};
    print_line(json_text(result, -1));
  } else {
    const std::string where = on_device ? text_of(a.device) : fmt::format("threads {}", a.threads == 0 ? "all" : std::to_string(a.threads));
    print_line(fmt::format("{}: {:.{}f} ms a step (median of {}; minimum {:.{}f}), {:.0f} images/s{}; batch {}, {}, kernel {}", script.name,
                           milliseconds * middle, on_device ? 4 : 2, seconds.size(), milliseconds * least, on_device ? 4 : 2,
                           static_cast<double>(a.batch) / middle, on_device ? "" : ", " + share.text(), a.batch, where, a.kernel));
  }
  return success;
}

}  // namespace

void add_bench_step(CLI::App& bench, int& status) {
  auto a = std::make_shared<StepArguments>();
  CLI::App* sub =
      bench.add_subcommand("step", "Time one training step of a network on real batches, or random ones where no data set fits");
  sub->footer(
      "The share of the cores' peak counts dense FLOPs; Winograd and lists of winners do fewer.\n"
      "Example:\n  wengert bench step --batch 64 --threads 1 --kernel im2col");
  sub->add_option("script", a->script, "Model script, default the report's network");
  sub->add_option("--data", a->data, "Folder with the IDX files of a data set");
  sub->add_option("--batch", a->batch, "Images a step, default 64")->check(whole_number(1));
  sub->add_option("--steps", a->steps, "Timed steps, default 40")->check(whole_number(1));
  sub->add_option("--warm-up", a->warm_up, "Steps before the timed ones: on an untrained network other pixels pass ReLU")
      ->check(whole_number(0));
  sub->add_option("--threads", a->threads, "0 means all, the default")->check(whole_number(0, most_threads));
  sub->add_flag("--eager", a->eager, "Run each op as it is recorded, instead of a plan");
  sub->add_option("--kernel", a->kernel, kernel_help());
  add_no_fusion(*sub, a->no_fusions);
  add_device(*sub, a->device);
  sub->add_option("--target", a->target, "Vector instructions of the direct kernels: AVX-512, AVX2, SSE4 or NEON, default the best");
  sub->add_option("--tuning", a->tuning, "File of `wengert tune` to choose kernels by");
  sub->add_flag("--json", a->json, "Print JSON");
  sub->callback([a, &status] { status = run(*a); });
}

}  // namespace wengert::command
