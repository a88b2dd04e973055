// Pass 2, fuse: applies the rules of ops/fusion/ until none fits any more.
#include <wengert/engine/plan/passes.hpp>

namespace wengert::plan {

void fuse(Graph& graph, const std::vector<Fusion>& rules) {
  for (const Fusion& rule : rules) {  // in the order of the table: later rules build on what earlier ones made
    if (!rule.apply) {
      graph.note("fuse", rule.name + " is switched off");
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
}

}  // namespace wengert::plan
