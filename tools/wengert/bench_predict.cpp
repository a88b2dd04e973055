// wengert bench predict: inference of a network on a batch of real images, or random ones where no data set fits.
#include <chrono>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <wengert/backends/tbb/executor.hpp>
#include <wengert/backends/direct/target.hpp>
#include <wengert/models/predictor.hpp>
#include <wengert/models/script.hpp>
#include <wengert/ops/fusion/fusions.hpp>

#include "bench.hpp"
#include "command.hpp"
#include "data.hpp"
#include "images.hpp"
#include "options.hpp"
#include "output.hpp"

namespace wengert::command {

namespace {

struct PredictBenchArguments {
  std::string script = "mnist_cnn", data, kernel = "auto", target;
  Index batch = 1, steps = 200;
  int threads = 1;
  bool json = false;
};

int run(const PredictBenchArguments& a) {
  if (!a.target.empty()) direct::set_target(a.target);
  const Script script = read_script(find_script(a.script));
  Model model(script.network, script.input);
  model.initialise(script.options.seed);
  Predictor predictor(model, a.batch, plan_options(KernelChoice::parse(a.kernel), tbb_executor(a.threads)));
  const Images set(a.data, script, model, Split::test);
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
  constexpr double milliseconds = 1e3;
  if (a.json) {
    print_line(
        nlohmann::json{{"ms", milliseconds * middle}, {"batch", a.batch}, {"threads", a.threads}, {"kernel", a.kernel}, {"steps", a.steps}}
            .dump());
  } else {
    print_line(fmt::format("{}: {} a batch of {} (median of {}), {:.0f} images/s; threads {}, kernel {}", script.name, time_text(middle),
                           a.batch, a.steps, static_cast<double>(a.batch) / middle, a.threads == 0 ? "all" : std::to_string(a.threads),
                           a.kernel));
  }
  return success;
}

}  // namespace

void add_bench_predict(CLI::App& bench, int& status) {
  auto a = std::make_shared<PredictBenchArguments>();
  CLI::App* sub = bench.add_subcommand("predict", "Time inference of a network on real images, or random ones where no data set fits");
  sub->footer("Example:\n  wengert bench predict --batch 256 --threads 2");
  sub->add_option("script", a->script, "Model script, default the report's network");
  sub->add_option("--data", a->data, "Folder with the IDX files of a data set");
  sub->add_option("--batch", a->batch, "Images a call, default 1")->check(whole_number(1));
  sub->add_option("--steps", a->steps, "Timed calls, default 200")->check(whole_number(1));
  sub->add_option("--threads", a->threads, "0 means all, default 1")->check(whole_number(0, most_threads));
  sub->add_option("--kernel", a->kernel, kernel_help());
  sub->add_option("--target", a->target, "Vector instructions of the direct kernels: AVX-512, AVX2, SSE4 or NEON, default the best");
  sub->add_flag("--json", a->json, "Print JSON");
  sub->callback([a, &status] { status = run(*a); });
}

}  // namespace wengert::command
