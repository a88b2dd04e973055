// A plan on a device: all values in one arena there, independent steps on several queues, the whole run recorded once and replayed.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <numeric>

#include <fmt/format.h>

#include <wengert/engine/device.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/plan/body.hpp>
#include <wengert/engine/structural.hpp>

namespace wengert::plan {

namespace {

constexpr double nanoseconds = 1e9;
std::int64_t now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

constexpr Index alignment = 256;
Index padded(Index bytes) { return (bytes + alignment - 1) / alignment * alignment; }

// Memory of a plan for so many images, which needs `all` bytes like them. Where there is none, the Error says how many images would fit.
Tensor room_for(DeviceRuntime& runtime, Index bytes, Index all, Index images) {
  if (bytes == 0) return {};
  try {
    return Tensor::uninitialised({{bytes}, DType::u8}, runtime.device());
  } catch (const OutOfDeviceMemory& error) {
    const auto fits =
        static_cast<Index>(static_cast<double>(runtime.free_bytes()) / static_cast<double>(all) * static_cast<double>(images));
    if (images < 2 || fits < 1) throw;
    throw OutOfDeviceMemory(fmt::format("{}; that is a plan for {} images, about {} would fit", error.what(), images, fits));
  }
}

// An event that is made once.
void mark(DeviceQueue& queue, std::unique_ptr<DeviceEvent>& event) {
  if (event) queue.record_again(*event);
  else event = queue.record();
}

// What the host writes for the next run. A run that has been given may still read it, so there are several copies in pinned memory, used in
// turn; the host only waits where it is that many runs ahead.
class Inputs {
 public:
  Inputs(DeviceRuntime& runtime, Index bytes, Index all, Index images)
      : runtime_(runtime), bytes_(bytes), host_(static_cast<std::size_t>(bytes)), device_(room_for(runtime, bytes, all + bytes, images)) {}
  ~Inputs() {
    for (Slot& slot : slots_) {
      if (slot.pinned != nullptr) runtime_.release_pinned(slot.pinned);
    }
  }
  Inputs(const Inputs&) = delete;
  Inputs& operator=(const Inputs&) = delete;

  std::byte* host() { return host_.data(); }
  std::byte* device() const { return bytes_ > 0 ? static_cast<std::byte*>(device_.memory().data) : nullptr; }

  void upload(DeviceQueue& queue) {
    if (bytes_ == 0) return;
    Slot& slot = slots_[next_++ % slots];
    if (slot.pinned == nullptr) slot.pinned = runtime_.allocate_pinned(bytes_);
    if (slot.used) slot.used->wait();
    std::memcpy(slot.pinned, host_.data(), host_.size());
    queue.upload_pinned(device(), slot.pinned, bytes_);
    mark(queue, slot.used);
  }

 private:
  static constexpr std::size_t slots = 4;
  struct Slot {
    void* pinned = nullptr;
    std::unique_ptr<DeviceEvent> used = {};
  };
  DeviceRuntime& runtime_;
  Index bytes_;
  std::vector<std::byte> host_;
  Tensor device_;
  Slot slots_[slots] = {};
  std::size_t next_ = 0;
};

class DeviceBody final : public Body {
 public:
  DeviceBody(Graph graph, PlanOptions options)
      : Body(std::move(graph), std::move(options)),
        runtime_(device_runtime(options_.device)),
        inputs_(*runtime_, lay_inputs(), arenas_.batch, graph_.batch) {
    arena_ = room_for(*runtime_, arenas_.batch, arenas_.batch, graph_.batch);
    flag_ = Tensor::full({1}, DeviceQueue::none_bad, DType::i32).to(options_.device);
    std::size_t queues = 1;
    for (const Level& level : program_.levels) queues = std::max(queues, level.tasks.size());
    for (std::size_t q = 0; q < std::min(queues, most_queues); ++q) {
      queues_.push_back(runtime_->make_queue());
      queues_.back()->stop_flag = static_cast<const std::int32_t*>(flag_.memory().data);
      workspaces_.push_back(bytes_on_device(arenas_.workspace));
    }
    for (std::size_t v = 0; v < graph_.values.size(); ++v) {
      Value& value = graph_.values[v];
      if (value.storage == Storage::batch) address_[v] = at(arena_) + value.offset;
      if (value.source == Value::Source::input) address_[v] = inputs_.device() + input_offset_[v];
      if (value.source != Value::Source::constant) continue;
      value.constant = value.constant.to(options_.device);
      address_[v] = static_cast<std::byte*>(value.constant.memory().data);
    }
    share_addresses();
    for (const Step& step : graph_.steps) texts_.push_back(step.text());
  }
  ~DeviceBody() override {
    try {
      queues_[0]->wait();
    } catch (const Error&) {  // it has been told to whoever waited, or nobody wants to know any more
    }
  }

  void run() override {
    if (find_parameters()) recording_.reset();
    DeviceQueue& common = runtime_->queue();
    if (common.work() != known_work_) queues_[0]->wait_for(*common.record());  // what was moved here, or what another plan did
    inputs_.upload(*queues_[0]);
    if (trace_ != nullptr) {
      give_traced();
    } else if (!warm_) {  // what libraries and kernels make at their first call is in no recording
      give();
      warm_ = true;
    } else {
      if (!recording_) record();
      queues_[0]->replay(*recording_);
    }
    for (const auto& queue : queues_) queue->node = "";
    known_work_ = common.work() + 1;
    mark(*queues_[0], done_);
    common.wait_for(*done_);  // who reads parameters later
    fetched_.clear();
    parameters_changed();
  }

  View input(ValueId id) override { return view_at(id, inputs_.host() + input_offset_[static_cast<std::size_t>(id)]); }
  void set(ValueId id, const Tensor& value) override {
    const View to = input(id);
    std::memcpy(to.data, value.to({}).view().data, static_cast<std::size_t>(to.bytes()));
  }
  // Waits for the run. Throws NotFinite where an update was left out in this run or one before it.
  View output(ValueId id) override {
    for (const auto& [known, host] : fetched_) {
      if (known == id) return host.view();
    }
    want_finite();
    const Value& value = graph_.value(id);
    const Tensor host = Tensor::uninitialised(value.spec);
    queues_[0]->download(host.memory().data, address_[static_cast<std::size_t>(id)], host.memory().bytes());
    fetched_.emplace_back(id, host);
    return host.view();
  }
  View view(ValueId id) const override { return view_at(id, address_[static_cast<std::size_t>(id)]); }
  Index bytes() const override { return arenas_.batch + static_cast<Index>(queues_.size()) * arenas_.workspace; }
  void trace(std::vector<TraceEvent>* events) override { trace_ = events; }
  std::size_t events_per_run() const override {
    std::size_t events = 0;
    for (const Level& level : program_.levels) events += level.calls.size();
    return events;
  }

 private:
  static constexpr std::size_t most_queues = 4;

  static std::byte* at(const Tensor& tensor) { return tensor ? static_cast<std::byte*>(tensor.memory().data) : nullptr; }
  Tensor bytes_on_device(Index bytes) const { return bytes > 0 ? Tensor::uninitialised({{bytes}, DType::u8}, options_.device) : Tensor(); }
  View view_at(ValueId id, std::byte* data) const {
    const Value& value = graph_.value(id);
    return {data, value.spec.shape, value.spec.dtype, Layout::nchw};
  }

  Index lay_inputs() {
    Index bytes = 0;
    input_offset_.resize(graph_.values.size(), 0);
    for (std::size_t v = 0; v < graph_.values.size(); ++v) {
      const Value& value = graph_.values[v];
      if (value.source != Value::Source::input) continue;
      input_offset_[v] = bytes;
      bytes += padded(value.spec.shape.elements() * size_of(value.spec.dtype));
    }
    return bytes;
  }

  void record() {
    queues_[0]->begin_capture();
    try {
      give();
    } catch (...) {
      try {
        queues_[0]->end_capture();
      } catch (const Error&) {  // of what is told anyway
      }
      throw;
    }
    recording_ = queues_[0]->end_capture();
  }

  // A run, not recorded, with the device's own times of all calls; they are later than the host's by what it takes the host to wake up. Waits for it.
  void give_traced() {
    const Time origin = queues_[0]->record_time();
    origin->wait();
    const std::int64_t here = now();
    give();
    warm_ = true;
    queues_[0]->wait();
    const auto when = [&](const Time& time) { return here + std::llround(time->seconds_since(*origin) * nanoseconds); };
    for (std::size_t i = 0; i < std::min(spans_.size(), trace_->size()); ++i)
      (*trace_)[i] = {spans_[i].step, nullptr, spans_[i].queue, -1, when(spans_[i].begin), when(spans_[i].end)};
    spans_.clear();
  }

  using Time = std::shared_ptr<DeviceEvent>;
  // One call, or one of those that are made together and take the same time.
  struct Span {
    const Step* step;
    int queue;
    Time begin, end;
  };
  Time time(std::size_t q) { return trace_ != nullptr ? Time(queues_[q]->record_time()) : nullptr; }
  void note(const Step& step, std::size_t q, const Time& begin, const Time& end) {
    if (trace_ != nullptr) spans_.push_back({&step, static_cast<int>(q), begin, end});
  }

  // All work of a run: level by level, a level's tasks on the queues in turn.
  void give() {
    bool watched = !options_.guard;
    for (const Level& level : program_.levels) {
      if (level.assigns && !watched) {
        queues_[0]->node = "[plan] the watch over values that are not finite";
        queues_[0]->watch(watched_values(), static_cast<std::int32_t*>(flag_.memory().data));
        watched = true;
      }
      const auto alone = std::count_if(level.tasks.begin(), level.tasks.end(), [&](const Task& t) { return !is_given_together(level, t); });
      const std::size_t used = std::min(static_cast<std::size_t>(alone), queues_.size());
      if (used > 1) {
        const std::unique_ptr<DeviceEvent> before = queues_[0]->record();
        for (std::size_t q = 1; q < used; ++q) queues_[q]->wait_for(*before);
      }
      give_together(level);
      std::size_t next = 0;
      for (const Task& task : level.tasks) {
        if (is_given_together(level, task)) continue;
        const std::size_t q = next++ % queues_.size();
        for (std::size_t c = task.first; c < task.first + task.count; ++c) give_call(level.calls[c], q);
      }
      for (std::size_t q = 1; q < used; ++q) queues_[0]->wait_for(*queues_[q]->record());
    }
  }

  bool is_given_together(const Level& level, const Task& task) const {
    const Call& call = level.calls[task.first];
    return task.count == 1 && call.kind == Call::Kind::kernel && graph_.step(call.step).kernel->run_together;
  }

  // The calls of a level that their kernels make in one launch.
  void give_together(const Level& level) {
    std::vector<const Kernel*> kernels;
    for (const Task& task : level.tasks) {
      if (!is_given_together(level, task)) continue;
      const Kernel* const kernel = graph_.step(level.calls[task.first].step).kernel;
      if (std::find(kernels.begin(), kernels.end(), kernel) == kernels.end()) kernels.push_back(kernel);
    }
    for (const Kernel* const kernel : kernels) {
      std::vector<std::vector<View>> views;
      std::vector<KernelCall> calls;
      std::vector<const Step*> steps;
      const Time begin = time(0);
      for (const Task& task : level.tasks) {
        const Call& call = level.calls[task.first];
        if (!is_given_together(level, task) || graph_.step(call.step).kernel != kernel) continue;
        views.push_back(views_of(call));
        calls.push_back(kernel_call(call, views.back(), 0));
        steps.push_back(&graph_.step(call.step));
      }
      kernel->run_together(calls);
      const Time end = time(0);
      for (const Step* const step : steps) note(*step, 0, begin, end);
    }
  }

  std::vector<View> views_of(const Call& call) const {
    std::vector<View> views;
    for (std::size_t i = 0; i < call.inputs + call.outputs; ++i) views.push_back(view(program_.operands[call.first_operand + i]));
    return views;
  }

  KernelCall kernel_call(const Call& call, const std::vector<View>& views, std::size_t q) {
    DeviceQueue& queue = *queues_[q];
    queue.node = texts_[static_cast<std::size_t>(call.step)].c_str();
    KernelCall arguments{graph_.step(call.step).attributes, std::span(views).first(call.inputs), std::span(views).subspan(call.inputs)};
    arguments.workspace = at(workspaces_[q]);
    arguments.queue = &queue;
    return arguments;
  }

  void give_call(const Call& call, std::size_t q) {
    const Step& step = graph_.step(call.step);
    DeviceQueue& queue = *queues_[q];
    const Time begin = time(q);
    const std::vector<View> views = views_of(call);
    if (call.kind == Call::Kind::assign) {
      queue.node = texts_[static_cast<std::size_t>(call.step)].c_str();
      queue.copy_unless_stopped(step.attributes.as<AssignAttributes>().parameter.tensor().memory().data, views[0].data, views[0].bytes());
    } else {
      step.prepared->run(kernel_call(call, views, q));
    }
    note(step, q, begin, time(q));
  }

  // What the updates of parameters read, and what is assigned to others, as far as steps have made it before.
  std::vector<Watched> watched_values() const {
    std::vector<ValueId> ids;
    for (const Step& step : graph_.steps) {
      if (!step.alive || (step.op->overwrites == 0 && !step.attributes.holds<AssignAttributes>())) continue;
      for (const ValueId id : step.inputs) {
        const ValueId read = graph_.through_reshape(id);
        const Value& value = graph_.value(read);
        const bool made = value.source == Value::Source::step && graph_.step(value.maker).level < step.level;
        if (made && value.spec.dtype == DType::f32 && std::find(ids.begin(), ids.end(), read) == ids.end()) ids.push_back(read);
      }
    }
    std::vector<Watched> result;
    for (const ValueId id : ids) {
      result.push_back({reinterpret_cast<const float*>(address_[static_cast<std::size_t>(id)]), graph_.value(id).spec.shape.elements(),
                        graph_.value(id).maker});
    }
    return result;
  }

  void want_finite() {
    std::int32_t bad = DeviceQueue::none_bad;
    queues_[0]->download(&bad, flag_.memory().data, sizeof bad);
    if (bad == DeviceQueue::none_bad) return;
    const std::int32_t none = DeviceQueue::none_bad;
    queues_[0]->upload(flag_.memory().data, &none, sizeof none);
    throw NotFinite(texts_[static_cast<std::size_t>(bad)] + " gives a value that is not finite");
  }

  std::shared_ptr<DeviceRuntime> runtime_;
  std::vector<Index> input_offset_;  // of each value that is one
  Inputs inputs_;
  Tensor arena_, flag_;
  std::vector<std::unique_ptr<DeviceQueue>> queues_;
  std::vector<Tensor> workspaces_;  // of each queue
  std::vector<std::string> texts_;  // of each step
  std::unique_ptr<DeviceRecording> recording_;
  std::unique_ptr<DeviceEvent> done_;                // the last run
  bool warm_ = false;                                // it has run once
  std::int64_t known_work_ = -1;                     // of the runtime's queue(), as far as a run need not wait for it
  std::vector<std::pair<ValueId, Tensor>> fetched_;  // of the last run
  std::vector<TraceEvent>* trace_ = nullptr;
  std::vector<Span> spans_;
};

}  // namespace

std::unique_ptr<Body> device_body(Graph graph, PlanOptions options) {
  return std::make_unique<DeviceBody>(std::move(graph), std::move(options));
}

}  // namespace wengert::plan
