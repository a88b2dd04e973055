// wengert bench predict: inference of a network on a batch of real images, or random ones where no data set fits.
#include <chrono>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <wengert/backends/direct/target.hpp>

#include "bench.hpp"
#include "command.hpp"
#include "images.hpp"
#include "json.hpp"
#include "options.hpp"
#include "output.hpp"
#include "peak.hpp"
#include "planned.hpp"

namespace wengert::command {

namespace {

struct PredictBenchArguments : PlanRequest {
  std::string data, target;
  Index steps = 200;
  bool json = false;
  PredictBenchArguments() : PlanRequest{.script = "mnist_cnn", .batch = 1, .threads = 1, .inference = true} {}
};

int run(const PredictBenchArguments& a) {
  if (!a.target.empty()) direct::set_target(a.target);
  Planned planned(a);
  const Images set(a.data, planned.script(), planned.model(), Split::test, planned.batch());
  Predictor& predictor = planned.inference();
  std::vector<std::int32_t> labels(static_cast<std::size_t>(a.batch));
  std::vector<double> seconds;
  constexpr Index warm_up = 20;
  for (Index step = 0; step < warm_up + a.steps; ++step) {
    set.fill(step, predictor.images(), labels.data());
    const auto start = std::chrono::steady_clock::now();
    predictor.run();
    if (step >= warm_up) seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  const double middle = median(seconds);
  const Share share = share_of_peak(planned.flops(), DType::f32, middle, planned.workers());
  constexpr double milliseconds = 1e3;
  if (a.json) {
    const nlohmann::json result = {{"ms", milliseconds * middle}, {"share_of_peak", share.part}, {"batch", a.batch},
                                   {"threads", a.threads},        {"kernel", a.kernel},          {"steps", a.steps}};
    print_line(json_text(result, -1));
  } else {
    print_line(fmt::format("{}: {} a batch of {} (median of {}), {:.0f} images/s, {}; threads {}, kernel {}", planned.script().name,
                           time_text(middle), a.batch, a.steps, static_cast<double>(a.batch) / middle, share.text(),
                           a.threads == 0 ? "all" : std::to_string(a.threads), a.kernel));
  }
  return success;
}

}  // namespace

void add_bench_predict(CLI::App& bench, int& status) {
  auto a = std::make_shared<PredictBenchArguments>();
  CLI::App* sub = bench.add_subcommand("predict", "Time inference of a network on real images, or random ones where no data set fits");
  sub->footer(
      "The share of the cores' peak counts dense FLOPs; Winograd does fewer.\n"
      "Example:\n  wengert bench predict --batch 256 --threads 2");
  sub->add_option("script", a->script, "Model script, default the report's network");
  sub->add_option("--data", a->data, "Folder with the IDX files of a data set");
  sub->add_option("--batch", a->batch, "Images a call, default 1")->check(whole_number(1));
  sub->add_option("--steps", a->steps, "Timed calls, default 200")->check(whole_number(1));
  sub->add_option("--threads", a->threads, "0 means all, default 1")->check(whole_number(0, most_threads));
  sub->add_option("--kernel", a->kernel, kernel_help());
  add_no_fusion(*sub, a->no_fusions);
  add_device(*sub, a->device);
  sub->add_option("--target", a->target, "Vector instructions of the direct kernels: AVX-512, AVX2, SSE4 or NEON, default the best");
  sub->add_flag("--json", a->json, "Print JSON");
  sub->callback([a, &status] { status = run(*a); });
}

}  // namespace wengert::command
