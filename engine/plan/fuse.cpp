// Pass 2, fuse: applies the rules of ops/fusion/ until none fits any more.
#include <algorithm>

#include <wengert/engine/plan/passes.hpp>

namespace wengert::plan {

namespace {

// The first op that the rule makes and that has no kernel where the graph will run, or null.
const std::string* lacking(const Graph& graph, const Fusion& rule) {
  if (!graph.on_device()) return nullptr;
  for (const std::string& name : rule.makes) {
    const Op* const op = graph.catalogue != nullptr ? graph.catalogue->find(name) : nullptr;
    const auto fits = [&](const Kernel& kernel) { return kernel.device == graph.device.kind; };
    if (op == nullptr || std::none_of(op->kernels.begin(), op->kernels.end(), fits)) return &name;
  }
  return nullptr;
}

}  // namespace

std::string refusal(const Graph& graph, const Step& step) {
  if (!graph.on_device()) return {};
  const std::vector<Spec> inputs = graph.specs_of(step.inputs);
  OpQuery query{step.attributes, inputs};
  query.device = graph.device;
  std::string reason;
  for (const Kernel& kernel : graph.resolve(*step.op).kernels) {
    if (kernel.device != graph.device.kind) continue;
    reason = kernel.refuse ? kernel.refuse(query) : "";
    if (reason.empty()) return {};
  }
  return reason.empty() ? "it has no kernel for " + text_of(graph.device) : reason;
}

void fuse(Graph& graph, const std::vector<Fusion>& rules) {
  for (const Fusion& rule : rules) {  // in the order of the table: later rules build on what earlier ones made
    if (!rule.apply) {
      graph.note("fuse", rule.name + " is switched off");
      continue;
    }
    if (const std::string* const op = lacking(graph, rule)) {
      graph.note("fuse", rule.name + " is left out: " + *op + " has no kernel for " + text_of(graph.device));
      continue;
    }
    bool fitted = false;
    for (StepId s = 0; s < static_cast<StepId>(graph.steps.size()); ++s) {
      if (!graph.step(s).alive) continue;
      const std::string where = graph.step(s).text();
      if (!rule.apply(graph, s)) continue;
      graph.note("fuse", rule.name + " at " + where);
      fitted = true;
    }
    if (!fitted) graph.note("fuse", rule.name + " fits nowhere: it wants " + rule.wants);
  }
  prune(graph);
  for (Step& step : graph.steps) step.op = &graph.resolve(*step.op);  // with all kernels that the catalogue has
}

}  // namespace wengert::plan
