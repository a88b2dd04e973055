// wengert bench op: the sample calls of an op, on each of its kernels in turn.
#include <memory>
#include <optional>

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

namespace wengert::command {

namespace {

using Json = nlohmann::ordered_json;

struct OpArguments {
  std::string op, kernel, dtype = "f32";
  Index only_case = -1;
  int threads = 1, rounds = 0;
  Device device = {};
  bool as_json = false;
};

struct Row {
  Index number;
  std::string inputs, attributes, kernel;
  Timing time = {};
  std::optional<Share> share = {};  // none where nothing is moved
  std::string refusal = {};         // why the kernel does not take the case, instead of a time
};

// Of the multiply-adds where the op counts them, else of a copy of what it reads and writes.
std::optional<Share> share(const Op& op, const OpQuery& query, double seconds, int threads) {
  if (op.alias) return {};
  const std::vector<Spec> outputs = op.shapes(query);
  if (op.flops) return share_of_peak(op.flops(query), deciding_dtype(query.inputs, outputs), seconds, threads);
  Index bytes = 0;
  for (const std::span<const Spec> specs : {query.inputs, std::span<const Spec>(outputs)}) {
    for (const Spec& spec : specs) bytes += spec.shape.elements() * size_of(spec.dtype);
  }
  return share_of_copy(bytes, seconds, threads);
}

// Times one sample case on the kernels; a kernel that refuses it gets a row with its reason.
void measure_case(const Op& op, const std::vector<Sample>& samples, Index number, const std::vector<std::string>& kernels,
                  const OpArguments& arguments, std::vector<Row>& rows) {
  const Sample& sample = samples[static_cast<std::size_t>(number)];
  const std::vector<Tensor> tensors = sample_tensors(op, samples, number, {1, arguments.dtype == "f64" ? DType::f64 : DType::f32, false});
  std::vector<Var> inputs;
  std::vector<Spec> specs;
  std::string text;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    inputs.emplace_back(tensors[i].to(arguments.device), sample.inputs[i].batched);
    specs.push_back(tensors[i].spec());
    text += (i == 0 ? "" : " ") + tensors[i].shape().text();
  }
  const Tape tape;  // for ops without inputs; nothing is recorded
  const std::shared_ptr<Executor> executor = tbb_executor(arguments.threads);
  std::vector<std::function<void()>> candidates;
  std::vector<std::size_t> timed;
  for (const std::string& kernel : kernels) {
    Row row{number, text, sample.attributes.describe(), kernel};
    try {
      OpQuery query{sample.attributes, specs};
      query.device = arguments.device;
      choose_kernel(op, query, op.shapes(query), KernelChoice::parse(kernel));
      timed.push_back(rows.size());
      candidates.push_back([&, kernel] {
        const NoRecording no_recording;
        const KernelScope kernel_scope(kernel);
        const ExecutorScope executor_scope(executor);
        CallOptions options;
        options.tape = &tape;
        apply(op, sample.attributes, inputs, options);
        wait_for(arguments.device);
      });
    } catch (const Error& error) {
      row.refusal = error.what();
    }
    rows.push_back(std::move(row));
  }
  const std::vector<Timing> times = time_in_turn(candidates, arguments.rounds);
  for (std::size_t i = 0; i < timed.size(); ++i) {
    rows[timed[i]].time = times[i];
    if (arguments.device == Device{}) rows[timed[i]].share = share(op, {sample.attributes, specs}, times[i].median, executor->workers());
  }
}

std::vector<Row> measure(const OpArguments& arguments) {
  const Catalogue catalogue = builtin_catalogue();
  const Op& op = catalogue.at(arguments.op);
  const std::vector<std::string> backends = backends_on(op, arguments.device);
  if (backends.empty()) fail(fmt::format("[{}] has no kernel for {}", op.name, text_of(arguments.device)));
  if (!arguments.kernel.empty()) want_kernel(op.name, backends, arguments.kernel);
  const std::vector<std::string> kernels = arguments.kernel.empty() ? backends : std::vector<std::string>{arguments.kernel};
  const std::vector<Sample> samples = op.samples();
  const auto cases = static_cast<Index>(samples.size());
  if (arguments.only_case >= cases)
    fail(fmt::format("[{}] has {} sample cases, counted from 0; there is no case {}", op.name, cases, arguments.only_case));
  std::vector<Row> rows;
  for (Index number = 0; number < cases; ++number) {
    if (arguments.only_case < 0 || arguments.only_case == number) measure_case(op, samples, number, kernels, arguments, rows);
  }
  return rows;
}

void print_rows(const std::vector<Row>& rows, const OpArguments& arguments) {
  if (arguments.as_json) {
    Json results = Json::array();
    for (const Row& row : rows) {
      results.push_back({{"case", row.number},
                         {"inputs", row.inputs},
                         {"attributes", row.attributes},
                         {"kernel", row.kernel},
                         {"us", row.refusal.empty() ? Json(row.time.median * 1e6) : Json()},
                         {"least_us", row.refusal.empty() ? Json(row.time.least * 1e6) : Json()},
                         {"refusal", row.refusal}});
      if (!row.share) continue;
      results.back()[row.share->area != nullptr ? "share_of_copy" : "share_of_peak"] = row.share->part;
      if (row.share->area != nullptr) results.back()["area"] = row.share->area;
    }
    print_line(Json{
        {"op", arguments.op},
        {"dtype", arguments.dtype},
        {"device", text_of(arguments.device)},
        {"threads", arguments.threads},
        {"blas_core", blas::core_name()},
        {"results",
         results}}.dump(2));
    return;
  }
  const std::string threads = arguments.threads == 0 ? "all" : fmt::format("{}", arguments.threads);
  const std::string where = arguments.device != Device{} ? text_of(arguments.device)
                                                         : fmt::format("{} thread{}; OpenBLAS for {}", threads,
                                                                       arguments.threads == 1 ? "" : "s", blas::core_name());
  print_line(fmt::format("{} {}, {}", arguments.op, arguments.dtype, where));
  Table table({"case", "kernel", "median", "minimum", "share", "inputs", "attributes"}, {0, 2, 3, 4});
  for (const Row& row : rows) {
    table.add({fmt::format("{}", row.number), row.kernel, row.refusal.empty() ? time_text(row.time.median) : "refused",
               row.refusal.empty() ? time_text(row.time.least) : "", row.share ? row.share->text() : "", row.inputs,
               row.refusal.empty() ? row.attributes : row.refusal});
  }
  print_line(table.text());
}

}  // namespace

void add_bench_op(CLI::App& bench, int& status) {
  auto arguments = std::make_shared<OpArguments>();
  CLI::App* sub = bench.add_subcommand("op", "Time the sample calls of an op, the call's overhead included, on each of its kernels");
  sub->add_option("name", arguments->op, "The op; see `wengert ops`")->required();
  sub->add_option("--case", arguments->only_case, "One sample case alone, counted from 0")->check(whole_number(0));
  sub->add_option("--kernel", arguments->kernel, "One kernel alone, default all that the op has");
  sub->add_option("--threads", arguments->threads, "0 means all, default 1")->check(whole_number(0, most_threads));
  add_device(*sub, arguments->device);
  sub->add_option("--dtype", arguments->dtype, "One of f32 and f64, default f32")->check(CLI::IsMember({"f32", "f64"}));
  sub->add_option("--rounds", arguments->rounds, "Timed turns of each kernel, default about a second's worth, at least 5")
      ->check(whole_number(1));
  sub->add_flag("--json", arguments->as_json, "Print JSON");
  sub->footer(
      "The share is of the cores' multiply-adds where FLOPs are counted (dense), else of copying in the cache that all bytes fit in.\n"
      "On a device a call ends when its result is there.\n"
      "Example:\n  wengert bench op max_pool2d --case 1");
  sub->callback([arguments, &status] {
    print_rows(measure(*arguments), *arguments);
    status = success;
  });
}

}  // namespace wengert::command
