// What fusion rules share: small questions about the graph around a step, and fused ops' descriptors.
#pragma once

#include <wengert/engine/plan/passes.hpp>
#include <wengert/ops/support.hpp>

namespace wengert::fusion {

using plan::Graph;
using plan::Step;
using plan::StepId;
using plan::ValueId;

// The only step that reads a value which the user does not want, or -1.
inline StepId only_reader(const Graph& graph, ValueId id) {
  const auto readers = graph.readers(id);
  return readers.size() == 1 && !graph.value(id).wanted ? readers[0] : -1;
}

inline bool is(const Graph& graph, StepId id, const char* op) { return id >= 0 && graph.step(id).op->name == op; }

// The input of a step with two inputs that is not `id`.
inline ValueId other_input(const Step& step, ValueId id) { return step.inputs[0] == id ? step.inputs[1] : step.inputs[0]; }

// Per-channel values (K), given as that or as (1,K,1,1): the plain (K) behind it, or -1 where `id` is anything else.
inline ValueId channels(const Graph& graph, ValueId id, Index count) {
  const Shape& shape = graph.value(id).spec.shape;
  if (graph.value(id).batched || shape != Shape{1, count, 1, 1}) return -1;
  const ValueId root = graph.through_reshape(id);
  return graph.value(root).spec.shape == Shape{count} ? root : -1;
}

// A fused step in place of others: named and placed after `like`.
inline Step make_step(const Op& op, Attributes attributes, std::vector<ValueId> inputs, const Step& like, std::string rule) {
  Step step;
  step.op = &op;
  step.attributes = std::move(attributes);
  step.inputs = std::move(inputs);
  step.name = like.name;
  step.site = like.site;
  step.backward = like.backward;
  step.fusion = std::move(rule);
  return step;
}

// Whether a kernel takes the step that a rule would put in place of others; where none does, notes why.
inline bool fits(Graph& graph, const Step& step) {
  const std::string refusal = plan::refusal(graph, step);
  if (!refusal.empty()) graph.note("fuse", "no " + step.op->name + " at " + step.text() + ": " + refusal);
  return refusal.empty();
}

}  // namespace wengert::fusion
