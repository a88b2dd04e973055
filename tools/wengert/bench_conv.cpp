// wengert bench conv: one convolution on several kernels in turn, against the naive one on one thread.
#include <algorithm>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <wengert/backends/blas.hpp>
#include <wengert/backends/tbb/executor.hpp>
#include <wengert/engine/context.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/samples.hpp>
#include <wengert/ops/catalogue.hpp>

#include "bench.hpp"
#include "command.hpp"
#include "options.hpp"
#include "output.hpp"
#include "peak.hpp"
#include "planned_conv.hpp"
#include "trial.hpp"

namespace wengert::command {

namespace {

using Json = nlohmann::ordered_json;

struct ConvArguments {
  std::vector<std::string> kernels;
  std::vector<Index> shape, stride = {1}, dilation = {1};
  std::string padding = "valid", direction = "forward", dtype = "f32";
  Index groups = 1;
  int threads = 1, rounds = 0;
  Device device = {};
  bool alone = false, planned = false, as_json = false;
};

Extent2d extent(const std::vector<Index>& sizes, const char* option) {
  if (sizes.size() == 1) return sizes[0];
  if (sizes.size() == 2) return {sizes[0], sizes[1]};
  fail(fmt::format("[bench conv] wanted {} S or HEIGHT,WIDTH, got {} numbers", option, sizes.size()));
}

// "valid", "same", "full", "P", "ROWS,COLUMNS" or "TOP,BOTTOM,LEFT,RIGHT".
Padding2d parse_padding(const std::string& text) {
  if (text == "valid") return Padding2d::valid();
  if (text == "same") return Padding2d::same();
  if (text == "full") return Padding2d::full();
  std::vector<Index> sides;
  for (const std::string& part : CLI::detail::split(text, ',')) {
    Index side = 0;
    if (!CLI::detail::lexical_cast(part, side)) sides.clear();
    else sides.push_back(side);
    if (sides.empty()) break;
  }
  if (sides.size() == 1) return Padding2d::sides(sides[0], sides[0], sides[0], sides[0]);
  if (sides.size() == 2) return Padding2d::sides(sides[0], sides[0], sides[1], sides[1]);
  if (sides.size() == 4) return Padding2d::sides(sides[0], sides[1], sides[2], sides[3]);
  fail("[bench conv] wanted --padding valid, same, full, P, ROWS,COLUMNS or TOP,BOTTOM,LEFT,RIGHT, got '" + text + "'");
}

// The convolution in one direction on random data, without recording, so that only the kernel and its executor are timed.
struct Convolution {
  ConvGeometry geometry;
  Index batch;
  std::string direction;
  Device device;
  Var x, w, y;

  Convolution(const ConvArguments& arguments) : batch(arguments.shape[0]), direction(arguments.direction), device(arguments.device) {
    const std::vector<Index>& s = arguments.shape;
    if (batch < 1) fail(fmt::format("[bench conv] wanted a batch of at least 1, got {}", batch));
    if (arguments.groups < 1) fail(fmt::format("[bench conv] wanted at least 1 group, got {}", arguments.groups));
    const Shape image{batch, s[1], s[2], s[3]}, filter{s[4], s[1] / arguments.groups, s[5], s[6]};
    Conv2dOptions options;
    options.stride = extent(arguments.stride, "--stride");
    options.dilation = extent(arguments.dilation, "--dilation");
    options.padding = parse_padding(arguments.padding);
    options.groups = arguments.groups;
    try {
      geometry = resolve(options, image, filter);
    } catch (const Error& error) {
      fail(std::string("[bench conv] ") + error.what());
    }
    const SampleOptions values{1, arguments.dtype == "f64" ? DType::f64 : DType::f32, false};
    const auto random = [&](Index input, const Shape& shape) { return sample_tensor("bench conv", 0, input, {shape}, values).to(device); };
    x = Var(random(0, image), true);
    w = Var(random(1, filter));
    y = Var(random(2, {batch, geometry.filters, geometry.out_height, geometry.out_width}), true);
  }

  std::vector<Tensor> inputs() const {
    if (direction == "data") return {y.value(), w.value()};
    if (direction == "weight") return {x.value(), y.value()};
    return {x.value(), w.value()};
  }
  std::vector<Spec> specs() const {
    std::vector<Spec> made;
    for (const Tensor& input : inputs()) made.push_back(input.spec());
    return made;
  }
  const char* op() const { return direction == "data" ? "conv2d_data" : direction == "weight" ? "conv2d_weight" : "conv2d"; }
  Var operator()() const {
    if (direction == "data") return conv2d_data(y, w, geometry);
    if (direction == "weight") return conv2d_weight(x, y, geometry);
    return conv2d(x, w, geometry);
  }
};

struct Row {
  std::string kernel;
  int threads;
  Timing time = {};
  std::string tiles = {};  // what a planned kernel says of itself
};

void run_on(const Convolution& convolution, const std::string& kernel, const std::shared_ptr<Executor>& executor) {
  const NoRecording no_recording;
  const KernelScope kernel_scope(kernel);
  const ExecutorScope executor_scope(executor);
  convolution();
  wait_for(convolution.device);
}

// Of the op's kernels those that take the convolution; why another does not is told.
std::vector<std::string> willing(const Convolution& convolution, const std::vector<std::string>& kernels,
                                 const std::shared_ptr<Executor>& executor) {
  std::vector<std::string> result;
  for (const std::string& kernel : kernels) {
    try {
      if (kernel != "naive") run_on(convolution, kernel, executor);
      result.push_back(kernel);
    } catch (const Error& error) {
      note("left out: " + std::string(error.what()));
    }
  }
  return result;
}

std::vector<Row> measure(const Convolution& convolution, const ConvArguments& arguments) {
  const Catalogue catalogue = builtin_catalogue();
  const std::vector<std::string> backends = backends_on(catalogue.at(convolution.op()), arguments.device);
  const std::shared_ptr<Executor> serial = tbb_executor(1), parallel = tbb_executor(arguments.threads);
  const std::vector<std::string> wanted = arguments.kernels.empty() ? willing(convolution, backends, parallel) : arguments.kernels;
  std::vector<Row> rows;
  std::vector<std::shared_ptr<Executor>> executors;
  if (!arguments.alone) rows.push_back({"naive", 1}), executors.push_back(serial);
  for (const std::string& kernel : wanted) {
    want_kernel(convolution.op(), backends, kernel);
    if (kernel == "naive" && !arguments.alone && parallel->workers() == 1) continue;  // it is there
    rows.push_back({kernel, parallel->workers()});
    executors.push_back(parallel);
  }
  std::vector<std::function<void()>> candidates;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    candidates.push_back([&convolution, kernel = rows[i].kernel, executor = executors[i]] { run_on(convolution, kernel, executor); });
  }
  const std::vector<Timing> times = time_in_turn(candidates, arguments.rounds);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].time = times[i];
  return rows;
}

// As a plan would: of several kernels (auto, or NAME,auto) the first that takes the convolution.
std::vector<Row> measure_planned(const Convolution& convolution, const ConvArguments& arguments) {
  const Catalogue catalogue = builtin_catalogue();
  const Op& op = catalogue.at(convolution.op());
  const std::vector<std::string> backends = backends_on(op, {});
  const std::shared_ptr<Executor> executor = tbb_executor(arguments.threads);
  const NoRecording no_recording;
  const std::vector<Tensor> eager = {convolution().value()};
  std::vector<Row> rows;
  std::vector<std::unique_ptr<PlannedConv>> ready;
  const std::vector<Spec> specs = convolution.specs();
  const KernelOrder order = kernel_order(op, {ConvAttributes{convolution.geometry}, specs});
  std::string refusals;
  const auto add = [&](const Kernel& kernel) {
    auto made = std::make_unique<PlannedConv>(op, ConvAttributes{convolution.geometry}, kernel, convolution.inputs());
    if (!made->refusal().empty()) {
      refusals += fmt::format("; kernel {} refuses: {}", kernel.backend, made->refusal());
      return false;
    }
    made->run(*executor);
    if (const double error = error_between({made->result()}, eager); !(error <= admitted_error))
      fail(fmt::format("[bench conv] planned {} differs from the eager result by {:.1e} of its largest value", kernel.backend, error));
    rows.push_back({kernel.backend, executor->workers(), {}, made->describe()});
    ready.push_back(std::move(made));
    return true;
  };
  for (const std::string& text : arguments.kernels.empty() ? backends : arguments.kernels) {
    want_kernel(op.name, backends, text);
    const KernelChoice choice = KernelChoice::parse(text);
    const bool any = choice.backend.empty();
    bool found = false;
    for (const Kernel& kernel : op.kernels) found = found || (kernel.backend == choice.backend && add(kernel));
    for (std::size_t i = 0; i < order.kernels.size() && !found && (any || choice.fall_back); ++i) found = add(*order.kernels[i]);
  }
  if (ready.empty()) fail("[bench conv] no kernel takes it" + refusals);
  if (!refusals.empty()) note("left out: [" + std::string(op.name) + "]" + refusals.substr(1));
  std::vector<std::function<void()>> candidates;
  for (const auto& conv : ready) candidates.push_back([&conv = *conv, &executor = *executor] { conv.run(executor); });
  const std::vector<Timing> times = time_in_turn(candidates, arguments.rounds);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].time = times[i];
  return rows;
}

void print_rows(const Convolution& convolution, const std::vector<Row>& rows, const ConvArguments& arguments) {
  const double flops = convolution.geometry.flops(convolution.batch), naive = arguments.alone ? 0 : rows.front().time.median;
  const bool on_device = arguments.device != Device{};
  const auto share = [&](const Row& row) { return share_of_peak(flops, convolution.x.value().dtype(), row.time.median, row.threads); };
  if (arguments.as_json) {
    Json results = Json::array();
    for (const Row& row : rows) {
      results.push_back({{"kernel", row.kernel},
                         {"threads", row.threads},
                         {"ms", row.time.median * 1e3},
                         {"least_ms", row.time.least * 1e3},
                         {"gflops", flops / row.time.median * 1e-9},
                         {"share_of_peak", on_device ? Json() : Json(share(row).part)}});
      if (arguments.planned) results.back()["tiles"] = row.tiles;
      if (!arguments.alone) results.back()["ratio_to_naive"] = naive / row.time.median;
    }
    print_line(Json{
        {"op", convolution.op()},
        {"direction", convolution.direction},
        {"batch", convolution.batch},
        {"geometry", convolution.geometry.describe()},
        {"dtype", arguments.dtype},
        {"device", text_of(arguments.device)},
        {"flops", flops},
        {"blas_core", blas::core_name()},
        {"results",
         results}}.dump(2));
    return;
  }
  print_line(fmt::format("{} {}, batch {}: {}; {:.4g} MFLOP, dense whatever the kernel; {}", convolution.op(), arguments.dtype,
                         convolution.batch, convolution.geometry.describe(), flops * 1e-6,
                         on_device ? text_of(arguments.device) : std::string("OpenBLAS for ") + blas::core_name()));
  Table table({"kernel", "threads", "median", "minimum", "GFLOP/s", "share", arguments.planned ? "" : "times naive"}, {1, 2, 3, 4, 5, 6});
  for (const Row& row : rows) {
    table.add({row.kernel, on_device ? "" : fmt::format("{}", row.threads), time_text(row.time.median), time_text(row.time.least),
               fmt::format("{:.2f}", flops / row.time.median * 1e-9), on_device ? "" : share(row).text(),
               arguments.planned ? row.tiles
               : arguments.alone ? "-"
                                 : fmt::format("{:.2f}", naive / row.time.median)});
  }
  print_line(table.text());
}

}  // namespace

void add_bench_conv(CLI::App& bench, int& status) {
  auto arguments = std::make_shared<ConvArguments>();
  CLI::App* sub = bench.add_subcommand(
      "conv", "Time a convolution: median, GFLOP/s, their share of the cores' peak, and the ratio to the naive kernel in the same run");
  sub->add_option("--kernel", arguments->kernels, "Kernels to time in turn: " + kernel_names() + "; default all that take it");
  sub->add_option("--shape", arguments->shape, "Batch, channels, height, width, filters, filter height and width: N,C,H,W,F,KH,KW")
      ->delimiter(',')
      ->check(whole_number(0))
      ->expected(7)
      ->required();
  sub->add_option("--stride", arguments->stride, "S or HEIGHT,WIDTH, default 1")->delimiter(',')->check(whole_number(0))->expected(1, 2);
  sub->add_option("--dilation", arguments->dilation, "D or HEIGHT,WIDTH, default 1")
      ->delimiter(',')
      ->check(whole_number(0))
      ->expected(1, 2);
  sub->add_option("--padding", arguments->padding, "One of valid, same, full, P, ROWS,COLUMNS and TOP,BOTTOM,LEFT,RIGHT, default valid");
  sub->add_option("--groups", arguments->groups, "Groups of channels and filters, default 1")->check(whole_number(0));
  sub->add_option("--threads", arguments->threads, "0 means all, default 1; the naive kernel compared with always has 1")
      ->check(whole_number(0, most_threads));
  sub->add_option("--direction", arguments->direction, "One of forward, data (gradient by x) and weight (gradient by w), default forward")
      ->check(CLI::IsMember({"forward", "data", "weight"}));
  add_device(*sub, arguments->device);
  sub->add_option("--dtype", arguments->dtype, "One of f32 and f64, default f32")->check(CLI::IsMember({"f32", "f64"}));
  sub->add_option("--rounds", arguments->rounds, "Timed turns of each kernel, default about a second's worth, at least 5")
      ->check(whole_number(1));
  sub->add_flag("--planned", arguments->planned, "As plans run it: blocks of 8 channels, weights packed beforehand; no ratio to naive");
  sub->add_flag("--alone", arguments->alone, "Without the naive kernel to compare with, which takes most of the time");
  sub->add_flag("--json", arguments->as_json, "Print JSON");
  sub->footer(
      "FLOPs are those of a dense convolution; Winograd multiplies less than they say, so its share may pass 100%.\n"
      "On a device a call ends when its result is there, and there is no naive kernel to compare with.\n"
      "Example: the second layer of the report's network\n  wengert bench conv --kernel im2col --shape 64,8,24,24,8,5,5 --threads 2");
  sub->callback([arguments, &status] {
    const bool on_device = arguments->device != Device{};
    if (on_device && arguments->planned) fail("[bench conv] wanted no --planned with --device: plans on a device run the same kernels");
    const Convolution convolution(*arguments);
    if (arguments->planned || on_device) arguments->alone = true;
    print_rows(convolution, arguments->planned ? measure_planned(convolution, *arguments) : measure(convolution, *arguments), *arguments);
    status = success;
  });
}

}  // namespace wengert::command
