// Pass 4, choose: kernels and layouts together, step by step in the order in which they run. A kernel is offered its inputs as they lie;
// where it wants another layout, a reorder is put in front of it, once for all its readers.
#include <algorithm>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>
#include <wengert/engine/plan/passes.hpp>

namespace wengert::plan {

namespace {

// A kernel that knows no plans: it runs on plain values.
class PlainKernel final : public PreparedKernel {
 public:
  PlainKernel(const Kernel& kernel, const OpQuery& query) : kernel_(kernel), workspace_(kernel.workspace ? kernel.workspace(query) : 0) {}
  void run(const KernelCall& call) const override { kernel_.run(call); }
  Index workspace() const override { return workspace_; }

 private:
  const Kernel& kernel_;
  Index workspace_;
};

bool has_blocks(const Spec& spec) { return spec.shape.rank() == 4 && spec.dtype == DType::f32; }

class Choice {
 public:
  Choice(Graph& graph, const KernelChoice& kernels, const Op* reorder, const Tuning* tuning)
      : graph_(graph), kernels_(kernels), reorder_(reorder), tuning_(tuning) {}

  void run() {
    for (StepId s = 0; s < static_cast<StepId>(graph_.steps.size()); ++s) {
      const auto before = graph_.steps.size();
      choose(s);
      s += static_cast<StepId>(graph_.steps.size() - before);  // reorders went in front of it
    }
    for (ValueId& id : graph_.outputs) lay_plain(id);
    if (tuning_ != nullptr && kernels_.backend.empty())
      graph_.note("choose", fmt::format("the tuning file knows {} of {} steps", tuned_, asked_));
  }

 private:
  // The layout that the readers of a value would take without a reorder.
  Layout wanted(const Step& step, ValueId id) const {
    if (step.prefer != Layout::nchw) return step.prefer;
    const Value& value = graph_.value(id);
    if (value.wanted || !has_blocks(value.spec)) return Layout::nchw;
    for (const StepId reader : graph_.readers(id)) {
      const auto& kernels = graph_.step(reader).op->kernels;
      const bool blocks =
          std::any_of(kernels.begin(), kernels.end(), [](const Kernel& kernel) { return static_cast<bool>(kernel.prepare); });
      if (!blocks || graph_.step(reader).op->alias) return Layout::nchw;
    }
    return Layout::nhwc8;
  }

  std::vector<Spec> chunk_specs(const Step& step) const {
    std::vector<Spec> specs = graph_.specs_of(step.inputs);
    if (step.extent == Extent::whole) return specs;
    for (std::size_t i = 0; i < specs.size(); ++i) {
      if (graph_.value(step.inputs[i]).batched) specs[i].shape[0] = std::min(graph_.chunk, specs[i].shape[0]);
    }
    return specs;
  }

  void choose(StepId id) {
    if (graph_.step(id).op->alias) return take_plain_inputs(id);
    const std::vector<Spec> specs = chunk_specs(graph_.step(id));
    std::vector<Layout> layouts;
    Index capacity = 0;
    for (const ValueId input : graph_.step(id).inputs) {
      layouts.push_back(graph_.value(input).layout);
      if (layouts.back() == Layout::winners) capacity = graph_.value(input).capacity;
    }
    Step& step = graph_.step(id);
    PlanQuery query{{step.attributes, specs},    layouts, wanted(step, step.outputs[0]), capacity, graph_.batched_inputs(step),
                    step.extent == Extent::whole};
    query.device = graph_.device;
    const KernelOrder order = candidates(step, query);
    if (const Layout* const tuned = tuned_layout(step, query); tuned != nullptr) query.wanted = *tuned;
    const DType dtype = deciding_dtype(specs, graph_.specs_of(step.outputs));
    std::string refusals;
    for (const Kernel* kernel : order.kernels) {
      Preparation ready = offer(*kernel, query, dtype, reorder_ != nullptr);
      if (!ready.kernel) {
        refusals += fmt::format("{}{}: {}", refusals.empty() ? "; not " : ", ", kernel->backend, ready.refusal);
        continue;
      }
      step.kernel = kernel;
      step.prepared = std::move(ready.kernel);
      if (kernel != order.kernels.front() || !order.passed_over.empty()) step.why = "the next best" + order.passed_over;
      step.why += refusals;
      return arrange(id);
    }
    const std::string hint = kernels_.backend.empty() || kernels_.fall_back ? "" : "; '" + kernels_.backend + ",auto' would take another";
    fail(step.text() + " has no kernel " + (graph_.on_device() ? "for " + text_of(graph_.device) : "that takes it") + refusals + hint);
  }

  // The tuning's layout for the first output, where a plan may choose it.
  const Layout* tuned_layout(const Step& step, const PlanQuery& query) const {
    const bool free =
        kernels_.backend.empty() && tuning_ != nullptr && step.prefer == Layout::nchw && !graph_.value(step.outputs[0]).wanted;
    return free ? tuning_->find_layout(tuning_key(step, query)) : nullptr;
  }

  // Kernels in the order in which they are tried.
  KernelOrder candidates(Step& step, const PlanQuery& query) {
    KernelOrder order = kernel_order(*step.op, query);
    std::vector<const Kernel*>& list = order.kernels;
    const auto first = [&](const std::string& backend, const std::string& why) {
      const auto found = std::find_if(list.begin(), list.end(), [&](const Kernel* kernel) { return kernel->backend == backend; });
      if (found == list.end()) return false;
      std::rotate(list.begin(), found, found + 1);
      order.passed_over.clear();
      step.why = why;
      return true;
    };
    step.why = list.size() == 1 ? "the only one" : "best of the ladder";
    if (!kernels_.backend.empty()) {
      if (first(kernels_.backend, "asked for") && !kernels_.fall_back) list.resize(1);
    } else if (tuning_ != nullptr) {
      if (const std::string* winner = tuning_->find(tuning_key(step, query));
          winner != nullptr && first(*winner, "fastest in the tuning file"))
        ++tuned_;
    }
    ++asked_;
    return order;
  }

  void take_plain_inputs(StepId id) {
    for (std::size_t i = 0; i < graph_.step(id).inputs.size(); ++i) lay_input(id, i, Layout::nchw);
  }

  // Gives the step's inputs the layouts that its kernel reads, and notes those of its outputs.
  void arrange(StepId id) {
    const auto prepared = graph_.step(id).prepared;
    for (std::size_t o = 0; o < graph_.step(id).outputs.size(); ++o) {
      Value& value = graph_.value(graph_.step(id).outputs[o]);
      value.layout = prepared->output_layout(o);
      if (value.layout == Layout::winners) value.capacity = prepared->capacity;
    }
    for (std::size_t i = 0; i < graph_.step(id).inputs.size(); ++i) {
      const auto before = graph_.steps.size();
      if (prepared->input_layout(i) == Layout::packed) lay_packed(id, i);
      else lay_input(id, i, prepared->input_layout(i));
      id += static_cast<StepId>(graph_.steps.size() - before);
    }
  }

  void lay_input(StepId id, std::size_t i, Layout layout) {
    const ValueId from = graph_.step(id).inputs[i];
    if (graph_.value(from).layout == layout) return;
    for (const auto& [key, to] : reordered_) {
      if (key == std::make_pair(from, layout) && in_time(*graph_.maker(to), graph_.step(id))) {
        graph_.set_input(id, i, to);
        return;
      }
    }
    if (graph_.value(from).layout == Layout::winners && layout != Layout::nchw) {  // by way of the dense plane
      const auto before = graph_.steps.size();
      lay_input(id, i, Layout::nchw);
      return lay_input(id + static_cast<StepId>(graph_.steps.size() - before), i, layout);
    }
    const ValueId to = reorder(id, from, layout);
    reordered_.emplace_back(std::make_pair(from, layout), to);
    graph_.set_input(id + 1, i, to);  // the reorder stands where the step was
  }

  // Whether what `made` computes is there when `reader` runs.
  static bool in_time(const Step& made, const Step& reader) {
    const bool same_task = (made.extent == Extent::whole) == (reader.extent == Extent::whole);
    return same_task ? made.level <= reader.level : made.level < reader.level;
  }

  // A reorder runs with the chunks that made the value, else with its reader.
  ValueId reorder(StepId before, ValueId from, Layout layout) {
    const Step* const maker = graph_.maker(from);
    const Step& reader = graph_.step(before);
    const bool with_maker = maker != nullptr && maker->extent == Extent::chunk;
    Step step;
    step.name = reader.name;
    step.site = reader.site;
    step.backward = reader.backward;
    step.extent = with_maker ? Extent::chunk : reader.extent == Extent::whole ? Extent::whole : Extent::chunk;
    step.level = with_maker ? maker->level : reader.level;
    return insert_reorder(before, std::move(step), from, layout);
  }

  ValueId insert_reorder(StepId before, Step step, ValueId from, Layout layout) {
    step.op = reorder_;
    step.inputs = {from};
    step.why = fmt::format("{} to {}", name(graph_.value(from).layout), name(layout));
    const StepId id = graph_.insert(before, std::move(step), {graph_.value(from).spec});
    Step& made = graph_.step(id);
    const std::vector<Spec> specs = chunk_specs(made);
    const Layout layouts[] = {graph_.value(from).layout};
    made.kernel = &reorder_->kernels.back();
    Preparation ready = made.kernel->prepare(PlanQuery{{made.attributes, specs}, layouts, layout, graph_.value(from).capacity});
    if (!ready.kernel) fail(made.text() + " cannot be laid out as " + name(layout) + ": " + ready.refusal);
    made.prepared = std::move(ready.kernel);
    const ValueId to = made.outputs[0];
    graph_.value(to).layout = layout;
    graph_.value(to).batched = graph_.value(from).batched;
    return to;
  }

  void lay_packed(StepId id, std::size_t i) {
    const ValueId from = graph_.step(id).inputs[i];
    const int input = static_cast<int>(i);
    Value packed;
    packed.spec = graph_.value(from).spec;
    packed.name = graph_.value(from).name;
    packed.layout = Layout::packed;
    packed.packed_bytes = graph_.step(id).prepared->packed_bytes(input);
    packed.source = Value::Source::constant;  // made by packing, not by a step
    const auto to = static_cast<ValueId>(graph_.values.size());
    graph_.values.push_back(std::move(packed));
    graph_.packings.push_back({id, input, from, to});
    graph_.set_input(id, i, to);
  }

  // What a kernel gives to the caller in its inputs' layout is laid out for him at the end.
  void lay_plain(ValueId& output) {
    const ValueId from = output;
    if (graph_.value(from).layout == Layout::nchw) return;
    const auto known = std::find_if(reordered_.begin(), reordered_.end(),
                                    [&](const auto& made) { return made.first == std::make_pair(from, Layout::nchw); });
    if (known != reordered_.end()) {
      output = known->second;
    } else {
      const Step& maker = *graph_.maker(from);
      Step step;
      step.name = maker.name;
      step.site = maker.site;
      step.backward = maker.backward;
      step.extent = maker.extent;
      step.level = maker.op->sliced ? maker.level + 1 : maker.level;
      graph_.levels = std::max(graph_.levels, step.level + 1);
      output = insert_reorder(static_cast<StepId>(graph_.steps.size()), std::move(step), from, Layout::nchw);
      reordered_.emplace_back(std::make_pair(from, Layout::nchw), output);
    }
    Value &plain = graph_.value(output), &blocked = graph_.value(from);
    plain.wanted = true;
    blocked.wanted = false;
    if (blocked.node < 0) return;  // wanted twice
    plain.node = blocked.node;     // find() of the Var finds what stands for it
    plain.node_output = blocked.node_output;
    blocked.node = -1;
  }

  Graph& graph_;
  const KernelChoice& kernels_;
  const Op* reorder_;
  const Tuning* tuning_;
  Index tuned_ = 0, asked_ = 0;  // steps that the tuning knows, of all that kernels were chosen for
  std::vector<std::pair<std::pair<ValueId, Layout>, ValueId>> reordered_;
};

}  // namespace

Preparation offer(const Kernel& kernel, const PlanQuery& query, DType dtype, bool layouts) {
  if (!kernel.dtypes.empty() && std::find(kernel.dtypes.begin(), kernel.dtypes.end(), dtype) == kernel.dtypes.end()) {
    return {nullptr, std::string("it does not take ") + name(dtype)};
  }
  if (std::string reason = kernel.refuse ? kernel.refuse(query) : ""; !reason.empty()) return {nullptr, std::move(reason)};
  if (kernel.prepare && layouts) return kernel.prepare(query);
  return {std::make_unique<PlainKernel>(kernel, query), {}};
}

std::string tuning_key(const Step& step, const OpQuery& query) {
  std::string key = step.op->name;
  if (const std::string attributes = step.attributes.describe(); !attributes.empty()) key += " " + attributes;
  for (const Spec& spec : query.inputs) key += " " + spec.text();
  return key;
}

void choose(Graph& graph, const KernelChoice& kernels, const Op* reorder, const Tuning* tuning) {
  const std::size_t before = graph.steps.size();
  Choice(graph, kernels, reorder, tuning).run();
  graph.note("choose", fmt::format("{} reorders, {} packed weights", graph.steps.size() - before, graph.packings.size()));
}

}  // namespace wengert::plan
