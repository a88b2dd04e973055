// A plan on the host: level by level, the chunks of the batch and whole steps as tasks of an executor.
#include <wengert/engine/plan/body.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>
#include <wengert/engine/plan/guard.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/engine/sum_tree.hpp>

namespace wengert::plan {

namespace {

struct Free {
  void operator()(std::byte* memory) const { ::operator delete (memory, std::align_val_t{Tensor::alignment}); }
};
using Memory = std::unique_ptr<std::byte, Free>;

Memory allocate(Index bytes) {
  const auto size = static_cast<std::size_t>(bytes) + Tensor::alignment;
  Memory memory(static_cast<std::byte*>(::operator new (size, std::align_val_t{Tensor::alignment})));
  std::memset(memory.get(), 0, size);
  return memory;
}

std::int64_t now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

void fill_with_nan(std::byte* memory, Index bytes) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (Index i = 0; i + 4 <= bytes; i += 4) std::memcpy(memory + i, &nan, sizeof nan);
}

class HostBody final : public Body {
 public:
  HostBody(Graph graph, PlanOptions options)
      : Body(std::move(graph), std::move(options)),
        executor_(options_.executor ? options_.executor : std::make_shared<SerialExecutor>()),
        batch_(allocate(arenas_.batch)),
        partials_(allocate(arenas_.partials)) {
    workers_.resize(static_cast<std::size_t>(executor_->workers()));
    for (Worker& worker : workers_) {
      worker.memory = allocate(arenas_.scratch + arenas_.workspace);
      worker.views.resize(program_.operands.size());
      for (std::size_t i = 0; i < worker.views.size(); ++i) {
        const Value& value = graph_.value(program_.operands[i]);
        worker.views[i] = {nullptr, value.spec.shape, value.spec.dtype, value.layout, value.capacity};
      }
    }
    operands_.reserve(program_.operands.size());
    for (const ValueId id : program_.operands) {
      const Value& value = graph_.value(id);
      const bool batched = value.batched && graph_.batch > 0;
      operands_.push_back({id, value.storage == Storage::scratch, batched, value.offset, batched ? value.bytes(graph_.chunk) : 0});
    }
    for (std::size_t v = 0; v < graph_.values.size(); ++v) {
      Value& value = graph_.values[v];
      if (value.storage == Storage::batch) address_[v] = batch_.get() + value.offset;
      if (value.source == Value::Source::input) {
        inputs_.push_back({static_cast<ValueId>(v), allocate(value.spec.shape.elements() * size_of(value.spec.dtype))});
        address_[v] = inputs_.back().memory.get();
      }
      if (value.source == Value::Source::constant && value.layout != Layout::packed)
        address_[v] = static_cast<std::byte*>(value.constant.view().data);
    }
    share_addresses();
    if (options_.poison) find_dying();
  }

  Index bytes() const override {
    return arenas_.batch + arenas_.partials + static_cast<Index>(workers_.size()) * (arenas_.scratch + arenas_.workspace);
  }
  void trace(std::vector<TraceEvent>* events) override {
    trace_ = events;
    trace_count_ = 0;
  }
  std::size_t events_per_run() const override {
    std::size_t events = 0;
    for (const Level& level : program_.levels) {
      events += level.chunk_calls.size() * static_cast<std::size_t>(graph_.chunks());
      for (const Task& task : level.tasks) events += task.count;
    }
    return events;
  }

  View input(ValueId id) override { return view(id); }
  void set(ValueId id, const Tensor& value) override {
    const View to = input(id);
    std::memcpy(to.data, value.view().data, static_cast<std::size_t>(to.bytes()));
  }
  View output(ValueId id) override { return view(id); }
  View view(ValueId id) const override {
    const Value& value = graph_.value(id);
    return {address_[static_cast<std::size_t>(id)], value.spec.shape, value.spec.dtype, value.layout, value.capacity};
  }

  void run() override {
    find_parameters();
    pack_changed();
    guard_.reset();
    std::vector<Tensor> before;
    for (const Level& level : program_.levels) {
      level_ = &level;
      if (level.assigns && before.empty() && guard_.large()) before = copy_parameters();
      const bool guard = options_.guard && assigns_after(level);
      const Index chunks = level.chunk_calls.empty() ? 0 : graph_.chunks();
      const Pass pass{this, chunks, guard};
      executor_->run(chunks + static_cast<Index>(level.tasks.size()),
                     [&pass](Index task, int worker) {  // one pointer: a function without allocation
                       const FloatEnvironment environment(true);
                       if (task < pass.chunks) pass.body->run_chunk(task, worker, pass.guard);
                       else pass.body->run_task(pass.body->level_->tasks[static_cast<std::size_t>(task - pass.chunks)], worker);
                     });
      if (const int bad = guard_.bad_step(); bad >= 0) fail_not_finite(bad);
      if (options_.poison) poison(level);
    }
    if (!before.empty()) want_finite_parameters(before);
    parameters_changed();
  }

 private:
  struct Operand {
    ValueId id;
    bool scratch, batched;
    Index offset;       // scratch
    Index chunk_bytes;  // from one chunk to the next, where it is batched and lies whole
  };
  struct Pass {  // over the tasks of a level
    HostBody* body;
    Index chunks;
    bool guard;
  };
  struct Worker {
    Memory memory;
    std::vector<View> views;
  };
  struct Input {
    ValueId id;
    Memory memory;
  };
  // Weights that changed outside this plan are packed again.
  void pack_changed() {
    for (const Packing& packing : graph_.packings) {
      ValueId from = packing.from;
      while (graph_.value(from).same_as >= 0) from = graph_.value(from).same_as;
      const Value& source = graph_.value(from);
      if (source.source == Value::Source::step) continue;                   // packed where it is made
      bool stale = !packed_once_ || source.source == Value::Source::input;  // the caller may have written there
      for (const ParameterUse& use : parameters_) stale = stale || (use.id == from && use.version != use.parameter.version());
      if (stale) pack(packing);
    }
    packed_once_ = true;
    for (ParameterUse& use : parameters_) use.version = use.parameter.version();
  }

  void pack(const Packing& packing) const {
    graph_.step(packing.step)
        .prepared->pack(packing.input, address_[static_cast<std::size_t>(packing.from)], address_[static_cast<std::size_t>(packing.to)]);
  }

  bool assigns_after(const Level& level) const {
    for (const Level* later = &level + 1; later <= &program_.levels.back(); ++later) {
      if (later->assigns) return true;
    }
    return false;
  }

  Index rows_of(Index chunk) const { return std::min(graph_.chunk, graph_.batch - chunk * graph_.chunk); }

  std::byte* slot(const Step& step, Index chunk) const { return partials_.get() + step.partial_offset + chunk * step.partial_bytes; }

  // chunk -1: the whole batch.
  void run_kernel(const Call& call, Index chunk, Index slice, int worker_index) {
    Worker& worker = workers_[static_cast<std::size_t>(worker_index)];
    const Step& step = graph_.step(call.step);
    View* const views = worker.views.data() + call.first_operand;
    const std::size_t total = call.inputs + call.outputs;
    for (std::size_t i = 0; i < total; ++i) {
      const Operand& operand = operands_[call.first_operand + i];
      View& view = views[i];
      if (operand.scratch) view.data = worker.memory.get() + operand.offset;
      else view.data = address_[static_cast<std::size_t>(operand.id)] + (chunk > 0 ? chunk * operand.chunk_bytes : 0);
      if (operand.batched) view.shape[0] = chunk < 0 ? graph_.batch : rows_of(chunk);
    }
    if (step.extent == Extent::partial) {
      std::byte* out = slot(step, chunk);
      for (std::size_t o = 0; o < call.outputs; ++o) {
        views[call.inputs + o].data = out;
        out += part_bytes(graph_, step, o);
      }
    }
    KernelCall arguments{step.attributes,
                         {views, call.inputs},
                         {views + call.inputs, call.outputs},
                         chunk < 0 ? 0 : chunk * graph_.chunk,
                         worker.memory.get() + arenas_.scratch,
                         slice < 0 ? 0 : slice};
    const std::int64_t begin = trace_ != nullptr ? now() : 0;
    step.prepared->run(arguments);
    for (Index more = 1; slice < 0 && chunk < 0 && more < step.prepared->slices(); ++more) {
      arguments.slice = more;
      step.prepared->run(arguments);
    }
    if (trace_ != nullptr) record({&step, nullptr, worker_index, chunk, begin, now()});
  }

  void run_chunk(Index chunk, int worker, bool guard) {
    for (const Call& call : level_->chunk_calls) {
      run_kernel(call, chunk, -1, worker);
      if (options_.poison) poison_scratch(call.step, worker);
    }
    if (!guard) return;
    for (const ValueId id : level_->guarded) {
      const Value& value = graph_.value(id);
      if (value.layout == Layout::winners) continue;
      guard_.look_at(value.spec.dtype, address_[static_cast<std::size_t>(id)] + chunk * value.bytes(graph_.chunk),
                     value.bytes(rows_of(chunk)), value.maker);
    }
    for (const Call& call : level_->chunk_calls) {
      const Step& step = graph_.step(call.step);
      if (step.extent != Extent::partial) continue;
      std::byte* out = slot(step, chunk);
      const Index floats = step.prepared->partial_floats();
      for (std::size_t o = 0; o < step.outputs.size(); ++o) {
        const Value& value = graph_.value(step.outputs[o]);
        guard_.look_at(value.spec.dtype, out, floats > 0 ? floats * size_of(DType::f32) : value.bytes(0), call.step);
        if (floats > 0) break;
        out += part_bytes(graph_, step, o);
      }
    }
  }

  // What the tape assigns, copied, so that it can be put back.
  std::vector<Tensor> copy_parameters() const {
    std::vector<Tensor> copies;
    for (const ParameterUse& use : parameters_) {
      if (use.assigned) copies.push_back(Tensor::copy(use.parameter.tensor().values<float>(), use.parameter.shape()));
    }
    return copies;
  }

  void want_finite_parameters(const std::vector<Tensor>& before) const {
    const auto finite = [](const ParameterUse& use) {
      return !use.assigned || Guard::finite(use.parameter.tensor().values<float>().data(), use.parameter.tensor().elements());
    };
    const auto found = std::find_if_not(parameters_.begin(), parameters_.end(), finite);
    if (found == parameters_.end()) return;
    std::size_t next = 0;
    for (const ParameterUse& use : parameters_) {
      if (use.assigned) Parameter(use.parameter).set_value(before[next++]);
    }
    throw NotFinite("[plan] the update of '" + found->parameter.name() + "' is not finite");
  }

  void run_task(const Task& task, int worker) {
    for (std::size_t c = task.first; c < task.first + task.count; ++c) {
      const Call& call = level_->calls[c];
      switch (call.kind) {
        case Call::Kind::kernel: run_kernel(call, -1, task.slice, worker); break;
        case Call::Kind::sum: sum_partials(call, worker); break;
        case Call::Kind::assign: copy_to_parameter(call); break;
        case Call::Kind::pack: pack(graph_.packings[static_cast<std::size_t>(call.packing)]); break;
      }
    }
  }

  void sum_partials(const Call& call, int worker_index) {
    const Step& step = graph_.step(call.step);
    const std::int64_t begin = trace_ != nullptr ? now() : 0;
    Worker& worker = workers_[static_cast<std::size_t>(worker_index)];
    View* const outputs = worker.views.data() + call.first_operand + call.inputs;
    const Index chunks = graph_.chunks();
    Index offset = 0;
    for (std::size_t o = 0; o < call.outputs; ++o) {
      outputs[o].data = address_[static_cast<std::size_t>(step.outputs[o])];
      if (step.prepared->partial_floats() > 0) continue;
      visit_any(outputs[o].dtype, [&](auto zero) {
        using T = decltype(zero);
        const Index count = outputs[o].elements();
        sum_tree<T>(
            chunks, [&](Index chunk) { return reinterpret_cast<T*>(slot(step, chunk) + offset); }, 0, count);
        std::memcpy(outputs[o].data, slot(step, 0) + offset, static_cast<std::size_t>(count) * sizeof(T));
      });
      offset += part_bytes(graph_, step, o);
    }
    if (const Index floats = step.prepared->partial_floats(); floats > 0) {
      sum_tree<float>(
          chunks, [&](Index chunk) { return reinterpret_cast<float*>(slot(step, chunk)); }, 0, floats);
      step.prepared->finish(reinterpret_cast<const float*>(slot(step, 0)), {outputs, call.outputs});
    }
    if (options_.poison) fill_with_nan(slot(step, 0), step.partial_bytes * chunks);
    if (trace_ != nullptr) record({nullptr, &step, worker_index, -1, begin, now()});
  }

  void copy_to_parameter(const Call& call) {
    const Step& step = graph_.step(call.step);
    Parameter target = step.attributes.as<AssignAttributes>().parameter;
    const auto id = static_cast<std::size_t>(step.inputs[0]);
    std::memcpy(target.tensor().view().data, address_[id], static_cast<std::size_t>(graph_.values[id].bytes(graph_.batch)));
  }

  [[noreturn]] void fail_not_finite(int step) const { throw NotFinite(graph_.step(step).text() + " gives a value that is not finite"); }

  void record(const TraceEvent& event) {
    const std::size_t at = trace_count_.fetch_add(1, std::memory_order_relaxed);
    if (trace_ != nullptr && at < trace_->size()) (*trace_)[at] = event;
  }

  // What nobody reads any more is overwritten, so that a reader that the place pass overlooked is found out.
  void poison(const Level& level) {
    const auto done = static_cast<int>(&level - program_.levels.data());
    for (Worker& worker : workers_) fill_with_nan(worker.memory.get(), arenas_.scratch + arenas_.workspace);
    for (std::size_t v = 0; v < graph_.values.size(); ++v) {
      const Value& value = graph_.values[v];
      if (value.storage == Storage::batch && value.same_as < 0 && last_use(static_cast<ValueId>(v)) == done)
        fill_with_nan(address_[v], value.bytes(graph_.batch));
    }
  }

  void find_dying() {
    dying_.resize(graph_.steps.size());
    const std::vector<StepId> last = last_steps(graph_);
    for (std::size_t v = 0; v < last.size(); ++v) {
      if (last[v] >= 0) dying_[static_cast<std::size_t>(last[v])].push_back(static_cast<ValueId>(v));
    }
  }
  void poison_scratch(StepId step, int worker) {
    for (const ValueId id : dying_[static_cast<std::size_t>(step)]) {
      const Value& value = graph_.value(id);
      fill_with_nan(workers_[static_cast<std::size_t>(worker)].memory.get() + value.offset, value.bytes(graph_.chunk));
    }
  }

  int last_use(ValueId id) const { return last_level(graph_, id); }

  std::shared_ptr<Executor> executor_;
  Memory batch_, partials_;
  std::vector<Worker> workers_;
  std::vector<Operand> operands_;
  std::vector<Input> inputs_;
  std::vector<std::vector<ValueId>> dying_;  // in scratch memory, behind each step; only to poison
  bool packed_once_ = false;
  const Level* level_ = nullptr;  // that runs
  Guard guard_;
  std::vector<TraceEvent>* trace_ = nullptr;
  std::atomic<std::size_t> trace_count_{0};
};

}  // namespace

std::unique_ptr<Body> host_body(Graph graph, PlanOptions options) {
  return std::make_unique<HostBody>(std::move(graph), std::move(options));
}

}  // namespace wengert::plan
