#include <wengert/models/trainer.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <wengert/backends/tbb/executor.hpp>
#include <wengert/engine/context.hpp>
#include <wengert/engine/device.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/gradients.hpp>
#include <wengert/engine/random.hpp>
#include <wengert/models/files/safetensors.hpp>
#include <wengert/models/trace.hpp>
#include <wengert/models/training_step.hpp>
#include <wengert/models/update.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/fusion/fusions.hpp>
#include <wengert/ops/reduce.hpp>
#include <wengert/ops/softmax.hpp>

namespace wengert {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

bool all_finite(const Tensor& value) {
  const Tensor tensor = value.to({});
  if (!is_float(tensor.dtype())) return true;
  for (Index i = 0; i < tensor.elements(); ++i) {
    if (!std::isfinite(tensor.at(i))) return false;
  }
  return true;
}

// The first node of a recorded run whose value is not finite.
std::string first_not_finite(const Tape& tape) {
  for (Index id = 0; id < tape.size(); ++id) {
    for (const Tensor& output : tape.node(id).outputs) {
      if (!all_finite(output)) return tape.node(id).text();
    }
  }
  return "the loss";
}

// The parameter with that value, under the name that the best ones have in a file.
Parameter best_copy(const Parameter& of, Tensor value) {
  Parameter copy(best_prefix + of.name(), of.shape(), Initial::constant(0.0), Parameter::Role::state);
  copy.set_value(std::move(value));
  return copy;
}

// A folder's name may be no UTF-8, as a file's metadata have to be, which is no reason to lose a training.
std::string as_utf8(const std::string& text) {
  using Json = nlohmann::json;
  return Json::parse(Json(text).dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
}

// Puts parameters back that a step has changed, running statistics say, unless the step is kept.
class Undo {
 public:
  explicit Undo(const std::vector<Parameter>& parameters) : parameters_(parameters) {
    for (const Parameter& parameter : parameters_) before_.push_back(parameter.tensor());
  }
  ~Undo() {
    for (std::size_t i = 0; i < before_.size(); ++i) parameters_[i].set_value(before_[i]);
  }
  Undo(const Undo&) = delete;
  Undo& operator=(const Undo&) = delete;
  void keep() { before_.clear(); }

 private:
  std::vector<Parameter> parameters_;
  std::vector<Tensor> before_;
};

}  // namespace

Index trained_images(const Dataset& set, const FitOptions& options) {
  if (options.examples > set.size())
    fail(fmt::format("[train] wanted {} examples, the set {} has {}", options.examples, set.source, set.size()));
  const Index used = options.examples == 0 ? set.size() : options.examples;
  if (options.validation >= used)
    fail(fmt::format("[train] wanted fewer validation images than the {} examples, got {}", used, options.validation));
  return used - options.validation;
}

std::vector<Index> epoch_order(Index images, std::uint64_t seed, Index epoch) {
  return permutation(images, random_stream(seed, "shuffle", static_cast<std::uint32_t>(epoch)));
}

struct Trainer::State {
  Model model;
  Update update;
  TrainerOptions options;
  std::shared_ptr<Executor> executor;
  Index step = 0;       // since the beginning
  FitOptions fit = {};  // of the last call, or of the saved training
  bool resumed = false;
  std::string data = {}, data_source = {};     // fingerprint and source of the training set; empty: none yet
  Index total_steps = 0, steps_per_epoch = 1;  // of the planned run, for the schedule; 0: none is planned

  // Of the batches that the running epoch has had.
  struct EpochSums {
    double loss = 0;
    Index right = 0, seen = 0;
  };
  EpochSums sums = {};

  // What patience and keep_best look back on.
  struct Best {
    double loss = std::numeric_limits<double>::infinity();
    Index loss_epoch = -1;  // -1: none yet
    double accuracy = -1;
    std::vector<Parameter> parameters = {};  // copies of the epoch with that accuracy
  };
  Best best = {};

  bool patience_spent() const {
    return fit.patience > 0 && fit.validation > 0 && step / steps_per_epoch - 1 - best.loss_epoch >= fit.patience;
  }

  double rate() const {
    return rate_of(update.optimiser()) * (total_steps == 0 ? 1.0 : options.schedule.at(step, total_steps, steps_per_epoch));
  }

  // The training set on the device, where it has room; else null, and batches are gathered on the host.
  std::shared_ptr<const ResidentSet> set = {};
  std::string set_data = {};                          // its fingerprint
  Totals given = {};                                  // of the steps since the last report, as far as they are known
  TrainingStep* running = nullptr;                    // the plan that has made steps which `given` does not count
  std::function<void(const std::string&)> note = {};  // of the running call

  // Whether steps are given to a device, which counts what they find, and nobody waits for them before a report.
  bool deferred() const { return options.device != Device{} && !options.eager && !options.trace; }

  void bring(const Dataset& all, const std::string& fingerprint) {
    if (!deferred() || set_data == fingerprint) return;
    leave_set();
    set_data = fingerprint;
    try {
      set = std::make_shared<const ResidentSet>(ResidentSet{all.images.to(options.device), all.labels.to(options.device)});
    } catch (const OutOfDeviceMemory& error) {
      tell_of(error);
    }
  }

  void leave_set() {
    resident_plans.clear();
    running = nullptr;
    set = nullptr;
  }

  void tell_of(const OutOfDeviceMemory& error) const {
    if (note)
      note(fmt::format("the training set has no room on {}, so each batch comes from the host: {}", text_of(options.device), error.what()));
  }

  // The plan of a deferred step. Where set and network do not fit together, the set goes.
  TrainingStep& deferred_plan(Index count) {
    try {
      return plan_for(count, set.get());
    } catch (const OutOfDeviceMemory& error) {
      if (!set) throw;
      read_running();
      leave_set();
      tell_of(error);
      return plan_for(count);
    }
  }

  // Plans by batch size, for the parameters that were trainable when they were made.
  std::map<Index, std::unique_ptr<TrainingStep>> plans = {}, resident_plans = {};  // the latter read the set
  std::vector<bool> planned_trainable = {};

  TrainingStep& plan_for(Index count, const ResidentSet* from = nullptr) {
    std::vector<bool>& known = planned_trainable;
    const std::vector<Parameter>& parameters = model.parameters();
    bool same = known.size() == parameters.size();
    for (std::size_t i = 0; same && i < known.size(); ++i) same = known[i] == parameters[i].trainable();
    if (!same) {
      plans.clear();
      resident_plans.clear();
      running = nullptr;
      known.clear();
      for (const Parameter& parameter : parameters) known.push_back(parameter.trainable());
    }
    std::unique_ptr<TrainingStep>& plan = (from == nullptr ? plans : resident_plans)[count];
    if (!plan) {
      PlanOptions made = plan_options(KernelChoice::parse(options.kernel), executor, options.no_fusions);
      made.tuning = options.tuning;
      made.device = options.device;
      plan = std::make_unique<TrainingStep>(model, update, count, options.seed, std::move(made), from);
    }
    return *plan;
  }

  // One step on the images at `count` positions, reported by collect().
  void advance(const Dataset& all, const Index* positions, Index count) {
    if (!deferred()) {
      const TrainingStep::Result result =
          train(count, [&](float* images, std::int32_t* labels) { all.gather(positions, count, images, labels); });
      given.loss += result.loss * static_cast<double>(count);
      given.right += result.right;
      ++given.steps;
      return;
    }
    TrainingStep& plan = deferred_plan(count);
    if (running != &plan) read_running();  // a value that is not finite there does not stop this plan
    running = &plan;
    if (set) {
      std::transform(positions, positions + count, plan.positions().write<std::int32_t>(),
                     [](Index p) { return static_cast<std::int32_t>(p); });
    } else {
      all.gather(positions, count, plan.images().write<float>(), plan.labels().write<std::int32_t>());
    }
    plan.start(step + 1, rate());
    ++step;
  }

  // Throws NotFinite: `given` counts the steps before the one that changed nothing.
  void read_running() {
    if (TrainingStep* const plan = std::exchange(running, nullptr); plan != nullptr) plan->read(given);
  }

  // What the steps since the last call have added up; waits for them.
  Totals collect() {
    read_running();
    return std::exchange(given, {});
  }

  // One step on `count` images that `fill` writes to the given buffers.
  TrainingStep::Result train(Index count, const std::function<void(float* images, std::int32_t* labels)>& fill) {
    if (options.eager) return train_eagerly(count, fill, true);
    TrainingStep& plan = plan_for(count);
    Trace* const trace = options.trace && !options.trace->full() ? options.trace.get() : nullptr;
    const std::int64_t from = trace != nullptr ? Trace::now() : 0;
    fill(plan.images().write<float>(), plan.labels().write<std::int32_t>());
    TrainingStep::Result result;
    if (trace != nullptr) trace->begin(plan.plan(), from);
    try {
      result = plan.run(step + 1, rate());
    } catch (const std::exception& error) {
      if (trace != nullptr) plan.plan().trace(nullptr);
      // Op by op the first node that is not finite is found, and its Error names it. Where none is, the plan's own Error stands.
      if (dynamic_cast<const NotFinite*>(&error) != nullptr) train_eagerly(count, fill, false);
      throw;
    }
    ++step;
    if (trace != nullptr) trace->end(plan.plan(), step);
    return result;
  }

  // Why a step on these images gives what is not finite: the first node, found op by op, else what the plan said.
  std::string reason_by_op(const Dataset& all, const Index* positions, Index count, const std::string& of_plan) {
    try {
      train_eagerly(
          count, [&](float* images, std::int32_t* labels) { all.gather(positions, count, images, labels); }, false);
    } catch (const Error& error) {
      return error.what();
    }
    return of_plan;
  }

  // Throws Error naming the first node that is not finite, parameters as before. Without `updates` they are so after any run.
  TrainingStep::Result train_eagerly(Index count, const std::function<void(float* images, std::int32_t* labels)>& fill, bool updates) {
    Undo undo(model.parameters());
    Shape shape{count};
    for (const Index size : model.image()) shape.push_back(size);
    Tensor images = Tensor::uninitialised({shape, DType::f32}), labels = Tensor::uninitialised({{count}, DType::i32});
    fill(images.mutable_view().write<float>(), labels.mutable_view().write<std::int32_t>());
    ExecutorScope on(executor);
    Context::current().choice = KernelChoice::parse(options.kernel);
    Context::current().recording = true;
    Tape tape;
    TrainingScope training(options.seed, tape.constant(Tensor::full({}, static_cast<double>(step), DType::i32).to(options.device), "step"));
    const Var logits = model.network()(tape.batch(images.to(options.device), "image"));
    const Var losses = softmax_cross_entropy(logits, tape.batch(labels.to(options.device), "label"));
    const Var loss = affine(sum(losses), 1.0 / static_cast<double>(count)).named("loss");
    TrainingStep::Result result{loss.value().to({}).item(), count_right(logits.value().to({}).view(), labels.view())};
    if (!std::isfinite(result.loss))
      fail("the loss is not finite: " + first_not_finite(tape) + " is the first node with a value that is not finite");
    if (!updates) {
      update.finite_gradients(tape, loss, model.parameters());
      return result;
    }
    update.apply(tape, loss, model.parameters(), step + 1, rate());
    undo.keep();
    ++step;
    return result;
  }
};

Trainer::Trainer(Network network, Optimiser optimiser, TrainerOptions options, const Shape& image, std::string script) {
  if (options.batch < 1) fail(fmt::format("[train] wanted a batch of at least 1, got {}", options.batch));
  if (options.batch > largest_count) fail(fmt::format("[train] wanted a batch of at most {}, got {}", largest_count, options.batch));
  check(optimiser);
  options.schedule.check();
  for (const RateGroup& group : options.rate_groups) {
    if (group.factor >= 0.0 && std::isfinite(group.factor)) continue;
    fail(fmt::format("[train] wanted a rate factor of at least 0 for '{}', got {:g}", group.prefix, group.factor));
  }
  plan_options(KernelChoice::parse(options.kernel), nullptr, options.no_fusions);  // unknown names are an error before the first step
  if (options.eager && !options.no_fusions.empty()) fail("[train] wanted a plan to leave fusions out of, got an eager training");
  Model model(std::move(network), image, std::move(script));
  model.initialise(options.seed);
  model.to(options.device);
  Update update(optimiser, options.rate_groups);
  auto executor = tbb_executor(options.threads);
  state_.reset(new State{std::move(model), std::move(update), std::move(options), std::move(executor)});
}

Trainer::~Trainer() = default;
Trainer::Trainer(Trainer&&) noexcept = default;
Trainer& Trainer::operator=(Trainer&&) noexcept = default;
Model& Trainer::model() { return state_->model; }
const Model& Trainer::model() const { return state_->model; }
Index Trainer::steps() const { return state_->step; }

double Trainer::step(const Tensor& images, const Tensor& labels) {
  State& s = *state_;
  if (images.dtype() != DType::f32 || images.shape().rank() != s.model.image().rank() + 1 ||
      labels.spec() != Spec{{images.shape()[0]}, DType::i32} ||
      !std::equal(s.model.image().begin(), s.model.image().end(), images.shape().begin() + 1)) {
    fail("[train] wanted images f32 (N," + s.model.image().text().substr(1) + " and labels i32 (N), got " + images.spec().text() + " and " +
         labels.spec().text());
  }
  for (const std::int32_t label : labels.values<std::int32_t>()) {
    if (label < 0 || label >= s.model.classes()) fail(fmt::format("[train] wanted labels in [0,{}), got {}", s.model.classes(), label));
  }
  return s
      .train(images.shape()[0],
             [&](float* to_images, std::int32_t* to_labels) {
               std::copy_n(images.values<float>().data(), images.elements(), to_images);
               std::copy_n(labels.values<std::int32_t>().data(), labels.elements(), to_labels);
             })
      .loss;
}

Evaluation Trainer::evaluate(const Dataset& set) const {
  ExecutorScope on(state_->executor);
  Context::current().choice = KernelChoice::parse(state_->options.kernel);
  Context::current().tuning = state_->options.tuning;
  return wengert::evaluate(state_->model, set, state_->options.eager);
}

History Trainer::fit(const Dataset& all, const FitOptions& options, const FitCallbacks& callbacks) {
  State& s = *state_;
  if (options.epochs < 0 || options.examples < 0 || options.validation < 0 || options.steps < 0 || options.patience < 0) {
    fail("[train] wanted epochs, examples, validation, steps and patience of 0 or more");
  }
  if (std::max({options.epochs, options.steps, options.patience}) > largest_count) {
    fail(fmt::format("[train] wanted epochs, steps and patience of at most {}", largest_count));
  }
  if ((options.patience > 0 || options.keep_best) && options.validation == 0)
    fail("[train] wanted validation images for patience or keep_best, got none");
  const Index images = trained_images(all, options);
  all.want_images("train", s.model.image());
  all.want_classes("train", s.model.classes());
  const Dataset validation = options.validation > 0 ? all.slice(images, options.validation) : Dataset{};
  if (s.resumed && (options.examples != s.fit.examples || options.validation != s.fit.validation)) {
    fail(fmt::format("[train] wanted examples {} and validation {} as in the resumed training, got {} and {}", s.fit.examples,
                     s.fit.validation, options.examples, options.validation));
  }
  const std::string data = all.fingerprint();
  if (s.resumed && !s.data.empty() && data != s.data) {
    fail(fmt::format("[train] wanted the data of the resumed training, {} ({}), got {} ({})", s.data_source, s.data, all.source, data));
  }
  s.data = data;
  s.data_source = all.source;
  s.fit = options;
  s.note = callbacks.note;
  s.bring(all, data);
  const Index batch = s.options.batch, batches = (images + batch - 1) / batch;
  s.steps_per_epoch = batches;
  s.total_steps = batches * options.epochs;

  History history;
  history.stopped = s.patience_spent();
  while (s.step < s.total_steps && !history.stopped) {
    const Index epoch = s.step / batches, first = s.step % batches;
    const std::vector<Index> order = epoch_order(images, s.options.seed, epoch);
    const auto start = Clock::now();
    const Index seen_before = s.sums.seen;
    const Index every = s.deferred() && !callbacks.batch ? batches : std::max<Index>(1, callbacks.every);
    Index reported = first;  // batches of this epoch that reports were about
    for (Index b = first; b < batches && !history.stopped; ++b) {
      const double rate = s.rate();
      const Index begin = b * batch, end = std::min(images, begin + batch);
      ++history.steps;
      if (options.steps > 0 && history.steps >= options.steps) history.stopped = true;
      const bool report_now = history.stopped || b + 1 == batches || b + 1 - reported >= every;
      Totals totals;
      try {
        s.advance(all, order.data() + begin, end - begin);
        if (report_now) totals = s.collect();
      } catch (const Error& error) {
        Index bad = b;
        std::string reason = error.what();
        if (dynamic_cast<const NotFinite*>(&error) != nullptr && s.deferred()) {  // the device went on, changing nothing
          bad = reported + std::exchange(s.given, {}).steps;
          s.step = epoch * batches + bad;
          reason = s.reason_by_op(all, order.data() + bad * batch, std::min(batch, images - bad * batch), reason);
        }
        fail(fmt::format("[train] epoch {}, batch {} of {}: {}", epoch + 1, bad + 1, batches, reason));
      }
      if (!report_now) continue;
      const Index seen = end - reported * batch;
      s.sums.loss += totals.loss;
      s.sums.right += totals.right;
      s.sums.seen += seen;
      reported = b + 1;
      const BatchReport report{epoch,
                               options.epochs,
                               b,
                               batches,
                               s.step,
                               totals.loss / static_cast<double>(seen),
                               static_cast<double>(totals.right) / static_cast<double>(seen),
                               rate};
      if (callbacks.batch && !callbacks.batch(report)) history.stopped = true;
    }
    if (s.step % batches != 0) break;  // stopped within the epoch
    const auto seen = static_cast<double>(s.sums.seen);
    EpochReport report{epoch, s.step, s.sums.loss / seen, static_cast<double>(s.sums.right) / seen};
    report.seconds = seconds_since(start);
    report.images_per_second = static_cast<double>(s.sums.seen - seen_before) / report.seconds;
    s.sums = {};
    if (options.validation > 0) {
      const Evaluation held_out = evaluate(validation);
      report.validation_loss = held_out.loss;
      report.validation_accuracy = held_out.accuracy;
      if (held_out.loss < s.best.loss) {
        s.best.loss = held_out.loss;
        s.best.loss_epoch = epoch;
      }
      if (options.keep_best && held_out.accuracy > s.best.accuracy) {
        s.best.accuracy = held_out.accuracy;
        s.best.parameters.clear();
        for (const Parameter& parameter : s.model.parameters()) s.best.parameters.push_back(best_copy(parameter, parameter.value()));
      }
      if (s.patience_spent()) history.stopped = true;
    }
    history.epochs.push_back(report);
    if (callbacks.epoch && !callbacks.epoch(report)) history.stopped = true;
  }
  const bool ended = s.step >= s.total_steps || s.patience_spent();
  if (options.keep_best && ended) {
    for (std::size_t i = 0; i < s.best.parameters.size(); ++i) Parameter(s.model.parameters()[i]).set_value(s.best.parameters[i].value());
  }
  return history;
}

namespace {

constexpr const char* data_key = "wengert.data";
constexpr const char* step_key = "wengert.step";
constexpr const char* best_loss_key = "wengert.best_loss";
constexpr const char* best_loss_epoch_key = "wengert.best_loss_epoch";
constexpr const char* best_accuracy_key = "wengert.best_accuracy";
constexpr const char* epoch_loss_key = "wengert.epoch_loss";
constexpr const char* epoch_right_key = "wengert.epoch_right";
constexpr const char* epoch_seen_key = "wengert.epoch_seen";

// Kernels decide about the last bits. Empty without a tuning.
std::string tuning_text(const plan::Tuning* tuning) {
  if (tuning == nullptr) return {};
  std::string all;
  for (const auto& [key, kernel] : tuning->winner) {
    const Layout* const layout = tuning->find_layout(key);
    all += key + "=" + kernel + (layout != nullptr ? name(*layout) : "") + "\n";
  }
  return fmt::format("{:016x}", hash_name(all));
}

// In one order, each once.
std::string names_text(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return fmt::format("{}", fmt::join(names, ", "));
}

// What must be the same for a training to go on exactly, and what is carried over.
std::map<std::string, std::string> checked_settings(const TrainerOptions& options, const Update& update) {
  return {{batch_key, std::to_string(options.batch)},
          {seed_key, std::to_string(options.seed)},
          {kernel_key, options.kernel},
          {execution_key, std::string(options.eager ? "eager" : "planned") +
                              (options.device == Device{} ? "" : std::string(" on ") + name(options.device.kind))},
          {"wengert.tuning", tuning_text(options.tuning.get())},
          {no_fusion_key, names_text(options.no_fusions)},
          {"wengert.chunk", fmt::format("{}, rule {}", chunk_size(options.batch), plan::chunk_rule)},
          {"wengert.optimiser", update.describe()},
          {"wengert.schedule", options.schedule.describe()}};
}

}  // namespace

void Trainer::save(const std::filesystem::path& path) const {
  const State& s = *state_;
  auto metadata = checked_settings(s.options, s.update);
  metadata[step_key] = std::to_string(s.step);
  metadata[data_key] = s.data;
  metadata[data_source_key] = as_utf8(s.data_source);
  metadata["wengert.epoch"] = std::to_string(s.step / s.steps_per_epoch);
  metadata["wengert.batch_index"] = std::to_string(s.step % s.steps_per_epoch);
  metadata[rate_key] = fmt::format("{}", rate_of(s.update.optimiser()));
  metadata[epochs_key] = std::to_string(s.fit.epochs);
  metadata[examples_key] = std::to_string(s.fit.examples);
  metadata[validation_key] = std::to_string(s.fit.validation);
  metadata[patience_key] = std::to_string(s.fit.patience);
  metadata[keep_best_key] = s.fit.keep_best ? "1" : "0";
  metadata[best_loss_key] = fmt::format("{}", s.best.loss);
  metadata[best_loss_epoch_key] = std::to_string(s.best.loss_epoch);
  metadata[best_accuracy_key] = fmt::format("{}", s.best.accuracy);
  metadata[epoch_loss_key] = fmt::format("{}", s.sums.loss);
  metadata[epoch_right_key] = std::to_string(s.sums.right);
  metadata[epoch_seen_key] = std::to_string(s.sums.seen);
  std::vector<Parameter> extra = s.update.moments();
  extra.insert(extra.end(), s.best.parameters.begin(), s.best.parameters.end());
  s.model.save(path, metadata, extra);
}

void Trainer::resume(const std::filesystem::path& path) {
  State& s = *state_;
  const SafetensorsFile file = read_safetensors(path);
  const std::map<std::string, std::string>& saved = file.metadata;
  const auto saved_as = [&](const std::string& key) {
    const auto found = saved.find(key);
    return found == saved.end() ? std::string() : found->second;
  };
  // First, since another script mostly has other settings too.
  if (saved_as(script_key) != s.model.script()) fail("[resume '" + path.string() + "'] the model script differs from the saved one");
  for (const auto& [key, value] : checked_settings(s.options, s.update)) {
    const std::string was = saved_as(key);
    if (was == value) continue;
    fail("[resume '" + path.string() + "'] wanted " + key.substr(key.find('.') + 1) + " '" + was + "' as in the saved training, got '" +
         value + "'");
  }
  if (saved.count(step_key) == 0) fail("[resume '" + path.string() + "'] the file holds a model but no training state");
  const auto number = [&](const char* key, auto least) {
    const std::string text = saved_as(key);
    decltype(least) value = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    if (read.ec != std::errc{} || read.ptr != text.data() + text.size() || !(value >= least)) {
      fail("[resume '" + path.string() + "'] wanted a number as metadata '" + key + "', found '" + text + "'");
    }
    return value;
  };
  constexpr Index zero = 0, no_epoch = -1;
  const Index at_step = number(step_key, zero);
  FitOptions fit;
  fit.epochs = number(epochs_key, zero);
  fit.examples = number(examples_key, zero);
  fit.validation = number(validation_key, zero);
  fit.patience = number(patience_key, zero);
  fit.keep_best = number(keep_best_key, zero) != 0;
  const State::EpochSums sums{number(epoch_loss_key, 0.0), number(epoch_right_key, zero), number(epoch_seen_key, zero)};
  State::Best best{number(best_loss_key, 0.0), number(best_loss_epoch_key, no_epoch), number(best_accuracy_key, -1.0)};
  for (const Parameter& parameter : s.model.parameters()) {
    const StoredTensor* stored = file.find(best_prefix + parameter.name());
    if (stored != nullptr) best.parameters.push_back(best_copy(parameter, restore_as(*stored, parameter.tensor().spec(), path)));
    else if (best.accuracy >= 0)
      fail("[resume '" + path.string() + "'] wanted the tensor '" + best_prefix + parameter.name() + "', found none");
  }
  s.model.load(file, path);
  s.update.restore(file, path, s.model.parameters());
  s.step = at_step;
  s.fit = fit;
  s.data = saved_as(data_key);
  s.data_source = saved_as(data_source_key);
  s.sums = sums;
  s.best = std::move(best);
  s.resumed = true;
}

}  // namespace wengert
