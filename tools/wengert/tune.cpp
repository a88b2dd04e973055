// wengert tune: times every kernel and layout for the steps of a model's plans on this machine, and writes the fastest to a file for --tuning.
#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <wengert/engine/context.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/plan/passes.hpp>
#include <wengert/engine/samples.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/models/evaluation.hpp>
#include <wengert/models/tuning_file.hpp>
#include <wengert/ops/fusion/fusions.hpp>

#include "bench.hpp"
#include "command.hpp"
#include "images.hpp"
#include "options.hpp"
#include "output.hpp"
#include "outputs.hpp"
#include "planned.hpp"
#include "trial.hpp"

namespace wengert::command {

namespace {

struct Arguments : PlanRequest {
  std::string data, out = "tuning.json";
  int rounds = 15;
};

constexpr double clearly = 0.97;  // a kernel replaces the one that a plan takes anyway where it takes less than this part of its time
constexpr double far_behind = 8;  // times the fastest: timed once, and out
constexpr const char* yardstick = "cuda-cudnn";  // to compare with; no plan takes it unasked
constexpr Index warm_up_steps = 20;              // so that ReLUs and winners are as in a training

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// A candidate of one step.
struct Candidate {
  TuningCandidate row;
  std::function<void()> run = {};  // as a plan runs it
  std::function<std::vector<Tensor>()> outputs = {};
  int runs = 1;  // of the step in one call of run
  bool admitted() const { return row.refusal.empty(); }
};

// A step to tune: its kernels in the layouts that they may have, the usual one among them, and what the naive one makes of the same inputs.
struct Subject {
  std::string key;
  const plan::Step& step;
  Layout usual_layout;
  std::vector<Candidate> candidates = {};
  std::vector<Tensor> wanted = {};
  bool is_usual(const Candidate& candidate) const {
    return candidate.row.kernel == step.kernel->backend && candidate.row.layout == usual_layout;
  }
};

// One call on every worker at once, or one call over the whole batch cut in slices: as a plan runs it.
void run_once(const Trial& trial, Executor& executor) {
  if (!trial.whole()) {
    if (executor.workers() == 1) return trial.run(0);
    return executor.run(executor.workers(), [&](Index task, int) { trial.run(static_cast<int>(task)); });
  }
  if (executor.workers() == 1 || trial.slices() == 1) return trial.run(0);
  executor.run(trial.slices(), [&](Index slice, int) { trial.run_slice(slice); });
}

// A plan may choose the layout of what nobody outside reads and no rule has settled.
std::vector<Layout> layouts(const StepQuery& asked, const Kernel& kernel) {
  const plan::Value& value = asked.graph.value(asked.step.outputs[0]);
  if (asked.step.prefer != Layout::nchw) return {asked.step.prefer};
  if (!kernel.prepare || value.wanted || value.spec.shape.rank() != 4) return {Layout::nchw};
  return {Layout::nhwc8, Layout::nchw};
}

Candidate host_candidate(const Replay& replay, const plan::Step& step, const Kernel& kernel, Layout wanted, Executor& executor) {
  const auto trial = std::make_shared<Trial>(replay, step, kernel, wanted, executor.workers());
  Candidate candidate{{kernel.backend, wanted},
                      [trial, &executor] { run_once(*trial, executor); },
                      [trial] {
                        trial->run(0);
                        return trial->plain_outputs();
                      }};
  candidate.row.refusal = trial->refusal();
  if (candidate.admitted()) candidate.row.layout = trial->layout();
  return candidate;
}

// On the host, on the step's real operands.
Subject host_subject(const Replay& replay, const plan::Step& step, Executor& executor) {
  const StepQuery asked(replay, step);
  Subject subject{asked.key(), step, asked.graph.value(step.outputs[0]).layout};
  for (auto kernel = step.op->kernels.rbegin(); kernel != step.op->kernels.rend(); ++kernel) {
    if (kernel->device != Device::Kind::cpu) continue;
    for (const Layout wanted : layouts(asked, *kernel)) {
      Candidate candidate = host_candidate(replay, step, *kernel, wanted, executor);
      const auto same = [&](const Candidate& other) {
        return other.row.kernel == candidate.row.kernel && other.row.layout == candidate.row.layout;
      };
      if (std::none_of(subject.candidates.begin(), subject.candidates.end(), same)) subject.candidates.push_back(std::move(candidate));
    }
  }
  Trial naive(replay, step, step.op->kernels.front(), Layout::nchw, 1, true);
  if (!naive.refusal().empty()) fail(step.text() + " has no naive kernel to compare with: " + naive.refusal());
  naive.run(0);
  subject.wanted = naive.plain_outputs();
  return subject;
}

constexpr int runs_a_turn = 20;  // on a device, before anybody waits

// On a device: plans of the op alone, on random operands of the step's sizes.
Subject device_subject(const plan::Graph& graph, const plan::Step& step) {
  const std::vector<Spec> specs = graph.specs_of(step.inputs);
  Subject subject{plan::tuning_key(step, {step.attributes, specs}), step, Layout::nchw};
  Tape tape(Tape::Mode::declaring);
  std::vector<Var> here, there;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const Tensor value = sample_tensor("tune", 0, static_cast<Index>(i), {specs[i].shape}, {1, specs[i].dtype});
    here.emplace_back(value);
    Parameter operand("operand " + std::to_string(i), specs[i].shape, Initial::constant(0));
    operand.set_value(value);
    operand.to(graph.device);
    there.push_back(tape.parameter(operand));
  }
  const std::vector<Var> declared = apply(*step.op, step.attributes, there);
  {
    const NoRecording no_recording;
    const KernelScope naive(step.op->kernels.front().backend);
    for (const Var& output : apply(*step.op, step.attributes, here)) subject.wanted.push_back(output.value());
  }
  OpQuery query{step.attributes, specs};
  query.device = graph.device;
  for (auto kernel = step.op->kernels.rbegin(); kernel != step.op->kernels.rend(); ++kernel) {
    if (kernel->device != graph.device.kind || kernel->backend == yardstick) continue;
    Candidate candidate{{kernel->backend}};
    candidate.row.refusal = kernel->refuse ? kernel->refuse(query) : "";
    if (candidate.admitted()) {
      PlanOptions options = plan_options(KernelChoice::parse(kernel->backend));
      options.device = graph.device;
      const auto plan = std::make_shared<Plan>(tape, declared, options);
      candidate.runs = runs_a_turn;
      candidate.run = [plan, device = graph.device] {
        for (int run = 0; run < runs_a_turn; ++run) plan->run();
        wait_for(device);
      };
      candidate.outputs = [plan, count = declared.size()] {
        plan->run();
        std::vector<Tensor> outputs;
        for (std::size_t o = 0; o < count; ++o) outputs.push_back(plan->value(o));
        return outputs;
      };
    }
    subject.candidates.push_back(std::move(candidate));
  }
  return subject;
}

class StepTuner {
 public:
  StepTuner(Subject& subject, int rounds) : subject_(subject) {
    compare();
    time(rounds);
  }

  TuningEntry entry() const {
    TuningEntry entry{subject_.key, subject_.step.text()};
    for (const Candidate& candidate : subject_.candidates) entry.candidates.push_back(candidate.row);
    const Candidate& best = winner(entry.reason);
    entry.usual = subject_.step.kernel->backend;
    entry.usual_layout = subject_.usual_layout;
    entry.winner = best.row.kernel;
    if (best.row.layout != subject_.usual_layout) entry.layout = best.row.layout;
    return entry;
  }

 private:
  void compare() {
    for (Candidate& candidate : subject_.candidates) {
      if (!candidate.admitted() || candidate.row.kernel == subject_.step.op->kernels.front().backend) continue;
      candidate.row.error = error_between(candidate.outputs(), subject_.wanted);
      if (candidate.row.error <= admitted_error) continue;
      candidate.row.refusal =
          fmt::format("it differs from naive by {:.1e} of the largest value, more than {:.0e}", candidate.row.error, admitted_error);
    }
  }

  void time(int rounds) {
    double fastest = std::numeric_limits<double>::infinity();
    for (Candidate& candidate : subject_.candidates) {
      if (!candidate.admitted()) continue;
      candidate.run();
      const auto start = std::chrono::steady_clock::now();
      candidate.run();
      candidate.row.seconds = seconds_since(start) / candidate.runs;
      fastest = std::min(fastest, candidate.row.seconds);
    }
    std::vector<Candidate*> close;
    std::vector<std::function<void()>> bodies;
    for (Candidate& candidate : subject_.candidates) {
      if (!candidate.admitted() || candidate.row.seconds > far_behind * fastest) continue;
      close.push_back(&candidate);
      bodies.push_back(candidate.run);
    }
    if (bodies.size() < 2) return;
    const std::vector<Timing> timings = time_in_turn(bodies, rounds);
    for (std::size_t i = 0; i < close.size(); ++i) close[i]->row.seconds = timings[i].median / close[i]->runs;
  }

  const Candidate& winner(std::string& reason) const {
    const Candidate *best = nullptr, *usual = nullptr;
    for (const Candidate& candidate : subject_.candidates) {
      if (!candidate.admitted()) continue;
      if (best == nullptr || candidate.row.seconds < best->row.seconds) best = &candidate;
      if (subject_.is_usual(candidate)) usual = &candidate;
    }
    if (best == nullptr) fail(subject_.step.text() + " has no kernel that agrees with naive");
    if (usual == nullptr || best == usual) {
      reason = "the fastest";
      return *best;
    }
    if (best->row.seconds < clearly * usual->row.seconds) {
      reason = fmt::format("the fastest; a plan took {} {} without a tuning", usual->row.kernel, name(usual->row.layout));
      return *best;
    }
    reason = "what a plan takes anyway, and the fastest within 3%";
    return *usual;
  }

  Subject& subject_;
};

void tune_steps(const Plan& plan, Executor& executor, int rounds, TuningReport& report) {
  const plan::Graph& graph = plan.graph();
  std::optional<Replay> replay;
  if (!graph.on_device()) replay.emplace(plan);
  std::set<std::string> known;
  for (const TuningEntry& entry : report.entries) known.insert(entry.key);
  for (const plan::Step& step : graph.steps) {
    const auto& kernels = step.op->kernels;
    const auto choices = std::count_if(kernels.begin(), kernels.end(), [&](const Kernel& kernel) {
      return kernel.device == graph.device.kind && kernel.backend != yardstick;
    });
    if (!step.alive || step.op->alias || step.attributes.holds<AssignAttributes>() || choices < 2) continue;
    const std::vector<Spec> specs = graph.specs_of(step.inputs);
    if (!replay && !std::all_of(specs.begin(), specs.end(), [](const Spec& spec) { return is_float(spec.dtype); })) continue;
    const std::string key = replay ? StepQuery(*replay, step).key() : plan::tuning_key(step, {step.attributes, specs});
    if (!known.insert(key).second) continue;
    Subject subject = replay ? host_subject(*replay, step, executor) : device_subject(graph, step);
    report.entries.push_back(StepTuner(subject, rounds).entry());
  }
}

// Whole steps with and without the winners, in turns, training under way.
void compare_plans(Planned& planned, const Images& images, double rate, TuningReport& report) {
  const auto tuning = std::make_shared<const plan::Tuning>(tuning_of(report));
  const std::unique_ptr<TrainingStep> tuned = planned.another(tuning);
  Index step = warm_up_steps;
  const auto turn = [&](TrainingStep& plan) {
    images.fill(step, plan.images(), plan.labels().write<std::int32_t>());
    wait_for(planned.device());
    const auto start = std::chrono::steady_clock::now();
    plan.run(++step, rate);
    wait_for(planned.device());
    return seconds_since(start);
  };
  constexpr int rounds = 41;
  std::vector<double> before, after;
  turn(*tuned);
  for (int round = 0; round < rounds; ++round) {
    before.push_back(turn(planned.training()));
    after.push_back(turn(*tuned));
  }
  report.seconds_before = median(before);
  report.seconds_after = median(after);
  const auto changed =
      std::count_if(report.entries.begin(), report.entries.end(), [](const TuningEntry& entry) { return entry.changes(); });
  constexpr double slower = 1.01;
  report.verdict = fmt::format("{} of {} steps take another kernel or layout", changed, report.entries.size());
  if (changed == 0 || report.seconds_after <= slower * report.seconds_before) return;
  report.verdict = fmt::format("{} of {} steps alone were faster otherwise, the whole was not: all keep what a plan takes anyway", changed,
                               report.entries.size());
  for (TuningEntry& entry : report.entries) {
    if (!entry.changes()) continue;
    entry.reason = fmt::format("what a plan takes anyway; {} was faster alone, but the whole step was not", entry.winner);
    entry.winner = entry.usual;
    entry.layout.reset();
  }
}

// What `wengert evaluate` runs.
void tune_evaluation(const Arguments& arguments, const Images& images, TuningReport& report) {
  PlanRequest request = arguments;
  request.inference = true;
  request.batch = evaluation_batch;
  const Planned planned(request);
  std::vector<std::int32_t> labels(static_cast<std::size_t>(evaluation_batch));
  images.fill(0, planned.inference().images(), labels.data());
  planned.inference().run();
  tune_steps(planned.plan(), *planned.executor(), arguments.rounds, report);
}

TuningReport tune(const Arguments& arguments) {
  Planned planned(arguments);
  const Images images(arguments.data, planned.script(), planned.model(), Split::train, planned.batch());
  const double rate = rate_of(planned.script().optimiser);
  for (Index step = 0; step < warm_up_steps; ++step) {
    TrainingStep& training = planned.training();
    images.fill(step, training.images(), training.labels().write<std::int32_t>());
    training.run(step + 1, rate);
  }
  TuningReport report;
  report.machine = TuningMachine::here(arguments.device);
  report.script = planned.script().name;
  report.batch = planned.batch();
  report.chunk = planned.plan().graph().chunk;
  report.threads = planned.workers();
  report.bound = admitted_error;
  tune_steps(planned.plan(), *planned.executor(), arguments.rounds, report);
  compare_plans(planned, images, rate, report);
  tune_evaluation(arguments, images, report);
  return report;
}

void print(const TuningReport& report, const std::string& out, bool on_device) {
  const std::string how =
      on_device ? "" : fmt::format(" in chunks of {}, {} thread{}", report.chunk, report.threads, report.threads == 1 ? "" : "s");
  print_line(fmt::format("{}, batch {}{}, {} on {}", report.script, report.batch, how, report.machine.target, report.machine.processor));
  Table table({"step", "kernel", "layout", "time", "error"}, {3, 4});
  for (const TuningEntry& entry : report.entries) {
    for (const TuningCandidate& candidate : entry.candidates) {
      const std::string title = &candidate == &entry.candidates.front() ? entry.step : "";
      const bool admitted = candidate.refusal.empty(),
                 won = candidate.kernel == entry.winner && candidate.layout == entry.layout.value_or(entry.usual_layout);
      table.add({title, (won ? "* " : "  ") + candidate.kernel, name(candidate.layout), admitted ? time_text(candidate.seconds) : "refused",
                 admitted ? fmt::format("{:.0e}", candidate.error) : ""});
    }
  }
  print_line(table.text());
  const std::string before = time_text(report.seconds_before), after = time_text(report.seconds_after);
  print_line("* taken. A whole training step: " + before + " without the file, " + after + " with it: " + report.verdict);
  print_line("wrote " + out + ", with the reasons");
}

}  // namespace

void add_tune(CLI::App& app, int& status) {
  auto a = std::make_shared<Arguments>();
  CLI::App* sub =
      app.add_subcommand("tune", "Time every kernel and layout for a model's steps on this machine, for --tuning of the other commands");
  sub->add_option("script", a->script, "The model script, a TOML file; a name finds one of the installed scripts")
      ->required()
      ->type_name("SCRIPT.toml");
  sub->add_option("--batch", a->batch, "Images a step, default the script's; another batch wants another file")->check(whole_number(1));
  sub->add_option("--threads", a->threads, "0 means all, the default")->check(whole_number(0, most_threads));
  add_device(*sub, a->device);
  sub->add_option("--data", a->data, "Folder with the IDX files of a data set");
  sub->add_option("--rounds", a->rounds, "Timed turns of each kernel, default 15")->check(whole_number(1));
  sub->add_option("--out", a->out, "File to write, default tuning.json");
  sub->footer(
      "Admitted are kernels whose results differ from the naive kernel's by at most 1e-4 of its largest value.\n"
      "On a device the fused steps have one kernel each; cuda-cudnn is not considered.\n"
      "Example:\n  wengert tune mnist_cnn.toml --out here.json && wengert train mnist_cnn.toml --tuning here.json");
  sub->callback([a, &status] {
    want_outputs("tune", {{"--out", a->out, OutputFile::Kind::tuning}});
    const TuningReport report = tune(*a);
    write_tuning(a->out, report);
    print(report, a->out, a->device != Device{});
    status = success;
  });
}

}  // namespace wengert::command
