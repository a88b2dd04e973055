// wengert train: fits a network and saves it.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <sstream>

#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <wengert/engine/error.hpp>
#include <wengert/models/saved.hpp>
#include <wengert/models/trace.hpp>
#include <wengert/models/trainer.hpp>

#include "command.hpp"
#include "data.hpp"
#include "export_start.hpp"
#include "history.hpp"
#include "interruption.hpp"
#include "json.hpp"
#include "options.hpp"
#include "outputs.hpp"
#include "planned.hpp"

namespace wengert::command {

namespace {

struct TrainArguments {
  std::string script, data, kernel, out = "model.safetensors", history, resume, tuning, trace, start;
  Index epochs = 0, batch = 0, examples = 0, validation = 0, steps = 0, patience = 0;
  double rate = 0;
  std::uint64_t seed = 0;
  int threads = 0;
  bool serial = false, json = false, quiet = false, keep_best = false, eager = false;
  std::vector<std::string> no_fusions;
  Device device;
  const CLI::App* given = nullptr;

  bool has(const char* option) const { return given->count(option) > 0; }
};

// The script that is trained: named, carried by the file to resume, or the report's network.
Script chosen_script(const TrainArguments& a) {
  if (!a.script.empty()) return read_script(find_script(a.script));
  if (!a.resume.empty()) return saved_script(a.resume);
  return read_script(share_folder() / "scripts" / "mnist_cnn.toml");
}

// Settings of a resumed training stand in for what the command line leaves open.
void take_saved(const std::map<std::string, std::string>& saved, Script& script) {
  const auto take = [&](const char* key, auto& setting) {
    const auto found = saved.find(key);
    if (found == saved.end()) return;
    std::istringstream(found->second) >> setting;
  };
  double rate = rate_of(script.optimiser);
  take(batch_key, script.options.batch);
  take(seed_key, script.options.seed);
  take(kernel_key, script.options.kernel);
  if (const auto found = saved.find(execution_key); found != saved.end()) script.options.eager = found->second == "eager";
  if (const auto found = saved.find(no_fusion_key); found != saved.end() && !found->second.empty())
    for (const std::string& part : CLI::detail::split(found->second, ','))
      script.options.no_fusions.push_back(CLI::detail::trim_copy(part));
  take(rate_key, rate);
  take(epochs_key, script.fit.epochs);
  take(examples_key, script.fit.examples);
  take(validation_key, script.fit.validation);
  take(patience_key, script.fit.patience);
  take(keep_best_key, script.fit.keep_best);
  set_rate(script.optimiser, rate);
}

void take_arguments(const TrainArguments& a, Script& script) {
  if (a.has("--epochs")) script.fit.epochs = a.epochs;
  if (a.has("--examples")) script.fit.examples = a.examples;
  if (a.has("--validation")) script.fit.validation = a.validation;
  if (a.has("--patience")) script.fit.patience = a.patience;
  if (a.has("--batch")) script.options.batch = a.batch;
  if (a.has("--seed")) script.options.seed = a.seed;
  if (a.has("--kernel")) script.options.kernel = a.kernel;
  if (a.eager) script.options.eager = true;
  if (a.has("--rate")) set_rate(script.optimiser, a.rate);
  if (a.has("--no-fusion")) script.options.no_fusions = a.no_fusions;
  script.fit.steps = a.steps;
  script.fit.keep_best = script.fit.keep_best || a.keep_best;
  script.options.threads = a.serial ? 1 : a.threads;
  script.options.device = a.device;
}

// Over another number of epochs a schedule that spans the run has other rates from here on.
void warn_of_epochs(const std::map<std::string, std::string>& saved, const Script& script) {
  const auto was = saved.find(epochs_key);
  if (was == saved.end() || was->second == std::to_string(script.fit.epochs) || !script.options.schedule.spans_run()) return;
  warn(fmt::format("the saved training was to have {} epochs; with {} its {} schedule is another one from here on", was->second,
                   script.fit.epochs, script.options.schedule.describe()));
}

nlohmann::json as_json(const EpochReport& e) {
  nlohmann::json line = {{"epoch", e.epoch + 1},   {"step", e.step},       {"loss", e.loss},
                         {"accuracy", e.accuracy}, {"seconds", e.seconds}, {"images_per_second", e.images_per_second}};
  if (e.validation_loss) line["validation_loss"] = *e.validation_loss;
  if (e.validation_accuracy) line["validation_accuracy"] = *e.validation_accuracy;
  return line;
}

std::string as_line(const EpochReport& e, Index epochs) {
  std::string line = fmt::format("epoch {}/{}  loss {:.4f}  accuracy {:.2f}%", e.epoch + 1, epochs, e.loss, 100 * e.accuracy);
  if (e.validation_accuracy)
    line += fmt::format("  validation loss {:.4f}  accuracy {:.2f}%", *e.validation_loss, 100 * *e.validation_accuracy);
  return line + fmt::format("  {:.1f} s  {:.0f} images/s", e.seconds, e.images_per_second);
}

// A line that is lost, on a closed terminal say, is no reason to lose the training: flush_output() tells of it in the end.
void say(const std::string& text, std::FILE* file = stdout) {
  std::fputs(text.c_str(), file);
  std::fflush(file);
}

constexpr Index shown_batches = 20;  // from one picture of the progress to the next

// The bar of the running epoch, on a terminal that can draw it only.
class Progress {
 public:
  Progress(bool shown, Index batch) : shown_(shown && isatty(STDERR_FILENO) != 0 && can_draw()), batch_(batch) {}

  void show(const BatchReport& r) {
    if (first_ < 0) first_ = r.batch;
    if (!shown_ || ((r.batch + 1) % shown_batches != 0 && r.batch + 1 != r.batches)) return;
    constexpr Index width = 24;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    const auto done = static_cast<double>(r.batch - first_ + 1);
    const auto left = seconds / done * static_cast<double>((r.batches - r.batch - 1) + (r.epochs - r.epoch - 1) * r.batches);
    const Index filled = width * (r.batch + 1) / r.batches;
    const double images_per_second = done * static_cast<double>(batch_) / std::max(seconds, 1e-9);
    const std::string line =
        fmt::format("epoch {}/{} [{:=<{}}{: <{}}] loss {:.4f}  accuracy {:5.1f}%  {:.0f} images/s  {:.0f} s left ", r.epoch + 1, r.epochs,
                    "", filled, "", width - filled, r.loss, 100 * r.accuracy, images_per_second, left);
    say("\r" + line.substr(0, columns()), stderr);
  }
  void clear() const {
    if (shown_) say("\r\033[K", stderr);
  }
  void next_epoch() {
    clear();
    first_ = 0;
    start_ = std::chrono::steady_clock::now();
  }

 private:
  static bool can_draw() {
    const char* const terminal = std::getenv("TERM");
    return terminal != nullptr && std::string(terminal) != "dumb";
  }
  // One less than the terminal has: a line that fills it would wrap.
  static std::size_t columns() {
    winsize size{};
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1U : std::string::npos;
  }

  bool shown_;
  Index batch_, first_ = -1;  // of this epoch, as far as it is timed
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

int run_export(const TrainArguments& a) {
  for (const char* const other : {"--out", "--history", "--resume", "--trace"}) {
    if (a.has(other)) fail(fmt::format("[train] wanted no {} beside --export-start, which trains nothing", other));
  }
  Script script = chosen_script(a);
  take_arguments(a, script);
  export_start(script, open_dataset(a.data, script.data, Split::train), a.start);
  if (a.json) print_line(json_text(nlohmann::json{{"start", a.start}}, -1));
  else if (!a.quiet) print_line("wrote " + a.start);
  return success;
}

constexpr Index traced_steps = 200;  // an epoch of all of them would be a file that no viewer opens

int run(const TrainArguments& a) {
  Script script = chosen_script(a);
  std::map<std::string, std::string> saved;
  if (!a.resume.empty()) saved = read_metadata(a.resume);
  take_saved(saved, script);
  take_arguments(a, script);
  want_outputs("train", {{"--out", a.out, OutputFile::Kind::model},
                         {"--history", a.history, OutputFile::Kind::history},
                         {"--trace", a.trace, OutputFile::Kind::trace}});
  script.options.tuning = open_tuning(a.tuning, script.name, script.options.threads, script.options.device);
  if (!a.trace.empty()) {
    if (script.options.eager) fail("[train] wanted a plan for --trace, got an eager training");
    script.options.trace = std::make_shared<Trace>(traced_steps);
  }
  const std::shared_ptr<Trace> trace = script.options.trace;
  const Dataset set =
      a.resume.empty() ? open_dataset(a.data, script.data, Split::train) : open_dataset_of(a.resume, a.data, script.data, Split::train);
  const Index epochs = script.fit.epochs;
  const FitOptions fit = script.fit;
  Trainer trainer(std::move(script.network), script.optimiser, script.options, script.input, script.text);
  if (!a.resume.empty()) {
    trainer.resume(a.resume);
    warn_of_epochs(saved, script);
  }

  std::optional<HistoryFile> history;
  if (!a.history.empty()) history.emplace(a.history, trainer.steps());
  const bool lines = !a.quiet && !a.json;
  catch_signals();  // a reader that went, too, leaves the training saved, and the loss is told
  if (lines) {
    say(fmt::format("{}: {} parameters, batch {}, {} epochs, kernel {}, seed {}\n", script.name, trainer.model().parameter_count(),
                    script.options.batch, epochs, script.options.kernel, script.options.seed));
  }
  if (script.options.schedule.warm_up > 0) {
    const Index steps = (trained_images(set, fit) + script.options.batch - 1) / script.options.batch * epochs;
    if (steps <= script.options.schedule.warm_up) {
      warn(fmt::format("the warm-up of {} steps does not end within the run's {}", script.options.schedule.warm_up, steps));
    }
  }
  Progress progress(lines, script.options.batch);
  FitCallbacks callbacks;
  if (a.device != Device{}) callbacks.every = shown_batches;
  callbacks.batch = [&](const BatchReport& report) {
    progress.show(report);
    return !interrupted();
  };
  callbacks.note = [&](const std::string& text) {
    progress.clear();
    note(text);
  };
  callbacks.epoch = [&](const EpochReport& report) {
    progress.next_epoch();
    if (history) history->add(as_json(report).dump());
    if (lines) say(as_line(report, epochs) + '\n');
    return true;
  };
  const Index steps_before = trainer.steps();
  History result;
  try {
    result = trainer.fit(set, fit, callbacks);
  } catch (const std::exception& error) {
    progress.clear();
    if (trainer.steps() == steps_before) throw;
    trainer.save(a.out);
    fail(fmt::format("{}; saved {} after step {}", error.what(), a.out, trainer.steps()));
  }
  progress.clear();
  trainer.save(a.out);
  if (trace) trace->save(a.trace);
  if (a.json) {
    nlohmann::json out = {{"model", a.out}, {"steps", trainer.steps()}, {"stopped", result.stopped}, {"epochs", nlohmann::json::array()}};
    for (const EpochReport& epoch : result.epochs) out["epochs"].push_back(as_json(epoch));
    print_line(json_text(out, -1));
  } else if (lines) {
    say(fmt::format("{}saved {} after step {}\n", interrupted() ? "interrupted; " : "", a.out, trainer.steps()));
    if (trace) say(fmt::format("wrote {}: a trace of the first {} of {} steps\n", a.trace, trace->steps(), result.steps));
  }
  if (history) history->finish();
  return success;
}

}  // namespace

void add_train(CLI::App& app, int& status) {
  auto a = std::make_shared<TrainArguments>();
  CLI::App* sub = app.add_subcommand("train", "Fit a network (without a script: the report's) to MNIST or another set");
  sub->footer("Example:\n  wengert train tools/scripts/mnist_cnn.toml --epochs 5 --validation 5000 --out digits.safetensors");
  sub->add_option("script", a->script, "Model script, a TOML file; a name finds one of the installed scripts");
  sub->add_option("--data", a->data, "Folder with the four IDX files of a data set");
  sub->add_option("--epochs", a->epochs, "Epochs in all; they shape the schedule")->check(whole_number(0));
  sub->add_option("--batch", a->batch, "Images a step, default 64")->check(whole_number(1));
  sub->add_option("--rate", a->rate, "Learning rate")->check(positive_number());
  sub->add_option("--seed", a->seed, "Of initial weights and batch order, default 1")->check(seed_number());
  sub->add_option("--threads", a->threads, "0 means all, the default")->check(whole_number(0, most_threads));
  sub->add_flag("--eager", a->eager, "Run each op as it is recorded, instead of a plan");
  sub->add_option("--kernel", a->kernel, kernel_help());
  add_no_fusion(*sub, a->no_fusions);
  add_device(*sub, a->device);
  sub->add_flag("--serial", a->serial, "One worker");
  sub->add_option("--examples", a->examples, "The first N images only")->check(whole_number(0));
  sub->add_option("--validation", a->validation, "Hold out the last N images to choose by")->check(whole_number(0));
  sub->add_option("--patience", a->patience, "End after N epochs without a better validation loss")->check(whole_number(0));
  sub->add_flag("--keep-best", a->keep_best, "End with the parameters of the epoch with the best validation accuracy");
  sub->add_option("--out", a->out, "File of the trained model, default model.safetensors");
  sub->add_option("--history", a->history, "File for one JSON line an epoch");
  sub->add_option("--resume", a->resume, "Saved training to continue exactly");
  sub->add_option("--tuning", a->tuning, "File of `wengert tune` to choose kernels by");
  sub->add_option("--trace", a->trace,
                  fmt::format("File for a trace of the first {} steps, to be opened in ui.perfetto.dev", traced_steps));
  sub->add_option("--steps", a->steps, "Stop after N steps")->check(whole_number(0));
  sub->add_option("--export-start", a->start, "Train nothing: write the first weights, the order of images and the rates to this folder");
  sub->add_flag("--json", a->json, "Print JSON");
  sub->add_flag("--quiet", a->quiet, "Print nothing");
  a->given = sub;
  sub->callback([a, &status] { status = a->has("--export-start") ? run_export(*a) : run(*a); });
}

}  // namespace wengert::command
