#include <wengert/engine/plan/program.hpp>

#include <algorithm>
#include <numeric>
#include <set>

#include <wengert/engine/structural.hpp>

namespace wengert::plan {

namespace {

ValueId root(const Graph& graph, ValueId id) {
  while (graph.value(id).same_as >= 0) id = graph.value(id).same_as;
  return id;
}

class Compiler {
 public:
  explicit Compiler(const Graph& graph) : graph_(graph) { program_.levels.resize(static_cast<std::size_t>(graph.levels) + 1); }

  Program run() {
    for (std::size_t s = 0; s < graph_.steps.size(); ++s) add_step(static_cast<StepId>(s));
    if (program_.levels.back().calls.empty()) program_.levels.pop_back();
    for (Level& level : program_.levels) join_tasks(level);
    return std::move(program_);
  }

 private:
  Call make(Call::Kind kind, StepId id) {
    const Step& step = graph_.step(id);
    Call call{kind, id, -1, program_.operands.size(), step.inputs.size(), step.outputs.size()};
    program_.operands.insert(program_.operands.end(), step.inputs.begin(), step.inputs.end());
    program_.operands.insert(program_.operands.end(), step.outputs.begin(), step.outputs.end());
    return call;
  }

  void add_step(StepId id) {
    const Step& step = graph_.step(id);
    Level& level = program_.levels[static_cast<std::size_t>(step.level)];
    if (const bool assigns = step.attributes.holds<AssignAttributes>(); assigns || step.op->alias) {
      if (assigns) level.assigns = true;
      const ValueId target = assigns ? parameter_value(step.attributes.as<AssignAttributes>().parameter) : -1;
      if (assigns && root(graph_, step.inputs[0]) != target) level.calls.push_back(make(Call::Kind::assign, id));
      if (assigns) add_packings(level, target);
      return;
    }
    if (step.extent == Extent::whole) {
      level.calls.push_back(make(Call::Kind::kernel, id));
      for (const ValueId output : step.outputs) {  // what lies in a parameter is packed behind its assign
        if (graph_.value(root(graph_, output)).source == Value::Source::step) add_packings(level, output);
      }
      return;
    }
    level.chunk_calls.push_back(make(Call::Kind::kernel, id));
    if (step.extent == Extent::partial) {
      Level& next = program_.levels[static_cast<std::size_t>(step.level) + 1];
      next.calls.push_back(make(Call::Kind::sum, id));
      for (const ValueId output : step.outputs) add_packings(next, output);
      return;
    }
    for (const ValueId output : step.outputs) {
      if (graph_.value(output).storage == Storage::batch && is_float(graph_.value(output).spec.dtype)) level.guarded.push_back(output);
    }
  }

  void add_packings(Level& level, ValueId source) {
    for (std::size_t p = 0; p < graph_.packings.size(); ++p) {
      if (root(graph_, graph_.packings[p].from) != root(graph_, source)) continue;
      Call call{Call::Kind::pack, graph_.packings[p].step, static_cast<int>(p), program_.operands.size(), 1, 1};
      program_.operands.push_back(graph_.packings[p].from);
      program_.operands.push_back(graph_.packings[p].to);
      level.calls.push_back(call);
    }
  }

  ValueId parameter_value(const Parameter& parameter) const {
    for (std::size_t v = 0; v < graph_.values.size(); ++v) {
      if (graph_.values[v].parameter && *graph_.values[v].parameter == parameter) return static_cast<ValueId>(v);
    }
    return -1;
  }

  // Values that a call writes, and all that it touches.
  std::vector<ValueId> written(const Call& call) const {
    std::vector<ValueId> ids;
    if (call.kind == Call::Kind::assign) ids.push_back(parameter_value(graph_.step(call.step).attributes.as<AssignAttributes>().parameter));
    for (std::size_t o = 0; o < call.outputs; ++o) ids.push_back(root(graph_, program_.operands[call.first_operand + call.inputs + o]));
    return ids;
  }
  std::vector<ValueId> touched(const Call& call) const {
    std::vector<ValueId> ids = written(call);
    if (call.kind == Call::Kind::sum) return ids;  // its inputs are of the level before
    for (std::size_t i = 0; i < call.inputs; ++i) ids.push_back(root(graph_, program_.operands[call.first_operand + i]));
    return ids;
  }

  // Calls of a level that touch what another writes go into one task, in their order.
  void join_tasks(Level& level) {
    const std::size_t n = level.calls.size();
    std::vector<std::size_t> group(n);
    std::iota(group.begin(), group.end(), std::size_t{0});
    std::vector<std::vector<ValueId>> touches_of;
    for (const Call& call : level.calls) touches_of.push_back(touched(call));
    for (std::size_t a = 0; a < n; ++a) {
      const auto writes = written(level.calls[a]);
      for (std::size_t b = 0; b < n; ++b) {
        const std::vector<ValueId>& touches = touches_of[b];
        const bool meet = std::any_of(writes.begin(), writes.end(),
                                      [&](ValueId id) { return std::find(touches.begin(), touches.end(), id) != touches.end(); });
        if (!meet || group[a] == group[b]) continue;
        const std::size_t from = std::max(group[a], group[b]), to = std::min(group[a], group[b]);
        std::replace(group.begin(), group.end(), from, to);
      }
    }
    std::vector<Call> ordered;
    for (const std::size_t g : std::set<std::size_t>(group.begin(), group.end())) {
      Task task{ordered.size(), 0, -1};
      for (std::size_t c = 0; c < n; ++c) {
        if (group[c] == g) ordered.push_back(level.calls[c]);
      }
      task.count = ordered.size() - task.first;
      const Call& only = ordered[task.first];
      const Index slices = task.count == 1 && only.kind == Call::Kind::kernel ? graph_.step(only.step).prepared->slices() : 1;
      for (Index slice = 0; slice < slices; ++slice) {
        task.slice = slices == 1 ? -1 : slice;
        level.tasks.push_back(task);
      }
    }
    std::stable_partition(level.tasks.begin(), level.tasks.end(),
                          [](const Task& task) { return task.slice < 0; });  // the uneven ones first
    level.calls = std::move(ordered);
  }

  const Graph& graph_;
  Program program_;
};

}  // namespace

Program compile(const Graph& graph) { return Compiler(graph).run(); }

}  // namespace wengert::plan
