// Pass 1, prune: keeps the steps that reach an output or an assign, and folds what depends on constants alone.
#include <fmt/format.h>

#include <wengert/engine/context.hpp>
#include <wengert/engine/executor.hpp>
#include <wengert/engine/plan/passes.hpp>
#include <wengert/engine/structural.hpp>

namespace wengert::plan {

namespace {

Index remove_dead(Graph& graph) {
  std::vector<bool> needed(graph.values.size(), false);
  for (const ValueId id : graph.outputs) needed[static_cast<std::size_t>(id)] = true;
  Index removed = 0;
  for (std::size_t s = graph.steps.size(); s-- > 0;) {
    Step& step = graph.steps[s];
    if (!step.alive) continue;
    bool used = step.attributes.holds<AssignAttributes>();
    for (const ValueId id : step.outputs) used = used || needed[static_cast<std::size_t>(id)];
    if (!used) {
      step.alive = false;
      ++removed;
      continue;
    }
    for (const ValueId id : step.inputs) needed[static_cast<std::size_t>(id)] = true;
  }
  return removed;
}

// Steps whose inputs are all constants run now, on their naive kernels.
Index fold_constants(Graph& graph) {
  Index folded = 0;
  for (Step& step : graph.steps) {
    bool constant = step.alive && !step.attributes.holds<AssignAttributes>();
    for (const ValueId id : step.inputs) constant = constant && graph.value(id).source == Value::Source::constant;
    if (!constant) continue;
    std::vector<Tensor> inputs, outputs;
    for (const ValueId id : step.inputs) inputs.push_back(graph.value(id).constant);
    for (const ValueId id : step.outputs) outputs.push_back(Tensor::uninitialised(graph.value(id).spec));
    if (step.op->alias) outputs[0] = inputs[0].reshape(graph.value(step.outputs[0]).spec.shape);
    else {
      SerialExecutor serial;
      execute({*step.op, step.op->kernels.front(), step.attributes, inputs, outputs, 0, {}, true}, serial);
    }
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      Value& value = graph.value(step.outputs[o]);
      value.source = Value::Source::constant;
      value.constant = outputs[o];
      value.maker = -1;
    }
    step.alive = false;
    ++folded;
  }
  return folded;
}

}  // namespace

void prune(Graph& graph) {
  const Index folded = fold_constants(graph), removed = remove_dead(graph);
  graph.note("prune", fmt::format("{} steps, {} of constants alone, {} that nobody reads", graph.steps.size(), folded, removed));
  std::vector<Step> living;
  for (Step& step : graph.steps) {
    if (step.alive) living.push_back(std::move(step));
  }
  graph.steps = std::move(living);
  graph.changed();
  for (std::size_t s = 0; s < graph.steps.size(); ++s) {
    for (const ValueId id : graph.steps[s].outputs) graph.value(id).maker = static_cast<StepId>(s);
  }
}

}  // namespace wengert::plan
