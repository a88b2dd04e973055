#include <wengert/engine/plan/report.hpp>

#include <algorithm>
#include <numeric>

#include <wengert/engine/structural.hpp>

namespace wengert::plan {

namespace {

ValueId root(const Graph& graph, ValueId id) {
  while (graph.value(id).same_as >= 0) id = graph.value(id).same_as;
  return id;
}

ValueRow value_row(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  ValueRow row{id, value.name, value.spec, value.layout, value.storage, value.batched};
  row.bytes = value.bytes(value.storage == Storage::scratch ? graph.chunk : graph.batch);
  return row;
}

// What a step reads or writes of a value in one run: all images, or a value without images once for each call.
Index bytes_moved(const Graph& graph, const Step& step, ValueId id) {
  const Value& value = graph.value(id);
  return value.bytes(graph.batch) * (value.batched || step.extent == Extent::whole ? 1 : graph.chunks());
}

// The first step of the reverse sweep that reads what a step of the forward pass has made, or null. What an update makes lies in a parameter:
// that is not kept for anybody.
const Step* kept_for(const Graph& graph, ValueId id) {
  if (graph.value(id).backward || graph.value(root(graph, id)).source != Value::Source::step) return nullptr;
  for (const Step& reader : graph.steps) {
    if (!reader.alive || !reader.backward || reader.op->alias) continue;
    const auto& inputs = reader.inputs;
    if (std::any_of(inputs.begin(), inputs.end(), [&](ValueId input) { return root(graph, input) == root(graph, id); })) return &reader;
  }
  return nullptr;
}

double flops_of(const Graph& graph, const Step& step) {
  if (!step.op->flops) return 0;
  const std::vector<Spec> specs = graph.specs_of(step.inputs);
  return step.op->flops({step.attributes, specs});
}

StepRow step_row(const Graph& graph, const Step& step) {
  StepRow row;
  row.level = step.level;
  row.extent = step.extent;
  row.op = step.op->name;
  row.name = step.name;
  row.site = step.site.text();
  row.fusion = step.fusion;
  row.attributes = step.attributes.describe();
  row.backward = step.backward;
  const bool assigns = step.attributes.holds<AssignAttributes>();
  row.alias = step.op->alias || (assigns && graph.value(root(graph, step.inputs[0])).parameter);  // updated in place
  if (assigns) {
    row.why = row.alias ? "the update lies in the parameter" : "copied to the parameter";
  } else if (step.kernel != nullptr) {
    row.kernel = step.kernel->backend;
    row.why = step.why;
  }
  if (step.prepared) row.detail = step.prepared->describe();
  for (const ValueId id : step.inputs) row.inputs.push_back(value_row(graph, id));
  for (const ValueId id : step.outputs) {
    row.outputs.push_back(value_row(graph, id));
    if (const Step* const reader = step.op->alias ? nullptr : kept_for(graph, id)) row.outputs.back().kept_for = reader->text();
  }
  row.flops = flops_of(graph, step);
  if (!row.alias) {
    for (const ValueId id : step.inputs) row.bytes += bytes_moved(graph, step, id);
    for (const ValueId id : step.outputs) row.bytes += bytes_moved(graph, step, id);
  }
  return row;
}

}  // namespace

std::vector<StepRow> rows(const Plan& plan) {
  const Graph& graph = plan.graph();
  std::vector<StepId> order(graph.steps.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](StepId a, StepId b) { return graph.step(a).level < graph.step(b).level; });
  std::vector<StepRow> result;
  for (const StepId id : order) {
    if (!graph.step(id).alive) continue;
    result.push_back(step_row(graph, graph.step(id)));
    result.back().id = id;
  }
  return result;
}

const char* name(Extent extent) {
  switch (extent) {
    case Extent::chunk: return "per chunk";
    case Extent::partial: return "partial sums";
    case Extent::whole: return "at once";
  }
  return "";
}

const char* name(Storage storage) {
  switch (storage) {
    case Storage::none: return "none";
    case Storage::input: return "input";
    case Storage::constant: return "constant";
    case Storage::parameter: return "parameter";
    case Storage::batch: return "batch";
    case Storage::partials: return "partials";
    case Storage::scratch: return "scratch";
  }
  return "";
}

}  // namespace wengert::plan
