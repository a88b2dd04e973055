#include <wengert/engine/plan/graph.hpp>

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>
#include <wengert/engine/structural.hpp>

namespace wengert::plan {

namespace {

constexpr Index lanes = 8;  // of Layout::nhwc8

Index round_up(Index value, Index to) { return (value + to - 1) / to * to; }

Value leaf_value(const Node& node, Index id, const TapeState& tape) {
  Value value;
  value.spec = node.outputs[0].spec();
  value.name = node.name;
  value.node = id;
  value.batched = node.batched != 0;
  value.source = Value::Source::input;
  if (node.outputs[0].has_value()) {
    value.source = Value::Source::constant;
    value.constant = node.outputs[0];
  }
  for (const auto& [parameter, at] : tape.parameters) {
    if (at == id && node.op->name == "parameter") {
      value.source = Value::Source::parameter;
      value.parameter = parameter;
    }
  }
  return value;
}

}  // namespace

Index Value::bytes(Index images) const {
  if (layout == Layout::packed) return packed_bytes;
  Index elements = spec.shape.elements();
  if (layout == Layout::nhwc8) elements = spec.shape[0] * round_up(spec.shape[1], lanes) * spec.shape[2] * spec.shape[3];
  Index bytes = elements * size_of(spec.dtype);
  if (layout == Layout::winners) {
    constexpr Index block = 16;  // as in backends/winners.hpp
    const Index channels = spec.shape[1];
    bytes = spec.shape[0] * 4 * (round_up(channels, block) + 2 * channels * (round_up(capacity, block) + block));
  }
  if (!batched || spec.shape[0] == 0) return bytes;
  return bytes / spec.shape[0] * images;
}

std::string Step::text() const {
  Node node;
  node.op = op;
  node.name = name;
  node.site = site;
  return node.text();
}

Graph::Graph(const Tape& source, const std::vector<Var>& wanted) : tape(source.state()) {
  if (source.mode() != Tape::Mode::declaring) fail("[plan] wanted a declaring tape, got " + source.text() + ", which is eager");
  std::vector<std::vector<ValueId>> made(static_cast<std::size_t>(source.size()));
  for (Index id = 0; id < source.size(); ++id) {
    const Node& node = source.node(id);
    auto& ids = made[static_cast<std::size_t>(id)];
    if (node.op->min_inputs == 0 && !node.op->shapes) {
      ids.push_back(static_cast<ValueId>(values.size()));
      values.push_back(leaf_value(node, id, *tape));
      if (values.back().source == Value::Source::input) inputs.push_back(ids.back());
      if (values.back().batched) {
        const Index rows = values.back().spec.shape[0];
        if (batch != 0 && rows != batch)
          fail(fmt::format("[plan] wanted one batch size for all batches, got {} and {} ('{}')", batch, rows, node.name));
        batch = rows;
      }
      continue;
    }
    if (node.op->side_effects) fail(node.text() + " has an effect beside its outputs, which a plan cannot hold: run it op by op (eager)");
    Step step;
    step.op = node.op;
    step.attributes = node.attributes;
    step.name = node.name;
    step.site = node.site;
    step.backward = node.origin >= 0;
    for (const Node::Input& input : node.inputs)
      step.inputs.push_back(made[static_cast<std::size_t>(input.node)][static_cast<std::size_t>(input.output)]);
    for (std::size_t o = 0; o < node.outputs.size(); ++o) {
      Value value;
      value.spec = node.outputs[o].spec();
      value.maker = static_cast<StepId>(steps.size());
      value.output = static_cast<int>(o);
      value.batched = ((node.batched >> o) & 1u) != 0;
      value.name = node.name;
      value.backward = step.backward;
      value.node = id;
      value.node_output = static_cast<int>(o);
      step.outputs.push_back(static_cast<ValueId>(values.size()));
      ids.push_back(step.outputs.back());
      values.push_back(std::move(value));
    }
    steps.push_back(std::move(step));
  }
  for (const Var& var : wanted) {
    outputs.push_back(find(var));
    value(outputs.back()).wanted = true;
    want_unassigned(outputs.back());
  }
}

// An output that is a parameter would show what the run has assigned to it, where op by op it shows what was read.
void Graph::want_unassigned(ValueId output) const {
  const Value& leaf = value(through_reshape(output));
  if (!leaf.parameter) return;
  for (const Step& step : steps) {
    if (!step.attributes.holds<AssignAttributes>() || !(step.attributes.as<AssignAttributes>().parameter == *leaf.parameter)) continue;
    fail(
        fmt::format("[plan] wanted an output that the plan does not change, got the parameter '{}', which {} sets: take its value() before "
                    "or after the run",
                    leaf.parameter->name(), step.text()));
  }
}

ValueId Graph::find(const Var& var) const {
  if (!var.recorded() || var.state() != tape) fail("[plan] wanted a Var of " + Tape(tape).text());
  var.check();
  for (std::size_t id = 0; id < values.size(); ++id) {
    const Value& candidate = values[id];
    if (candidate.node == var.node() && candidate.node_output == var.output()) return static_cast<ValueId>(id);
  }
  fail("[plan] " + tape->nodes[static_cast<std::size_t>(var.node())].text() + " is not part of the plan");
}

const Step* Graph::maker(ValueId id) const { return value(id).maker < 0 ? nullptr : &step(value(id).maker); }

bool Graph::made_by(ValueId id, const char* op) const {
  const Step* const step = maker(id);
  return step != nullptr && step->alive && step->op->name == op;
}

void Graph::make_index() const {
  index_.first.assign(values.size() + 1, 0);
  const auto each = [this](const auto& body) {
    for (std::size_t s = 0; s < steps.size(); ++s) {
      const std::vector<ValueId>& read = steps[s].inputs;
      for (auto id = read.begin(); id != read.end(); ++id) {
        if (std::find(read.begin(), id, *id) == id) body(static_cast<std::size_t>(*id), static_cast<StepId>(s));
      }
    }
  };
  each([this](std::size_t id, StepId) { ++index_.first[id + 1]; });
  std::partial_sum(index_.first.begin(), index_.first.end(), index_.first.begin());
  index_.steps.resize(index_.first.back());
  std::vector<std::size_t> next = index_.first;
  each([&](std::size_t id, StepId step) { index_.steps[next[id]++] = step; });
}

std::vector<StepId> Graph::readers(ValueId id) const {
  if (index_.first.size() != values.size() + 1) make_index();
  std::vector<StepId> result;
  for (std::size_t i = index_.first[static_cast<std::size_t>(id)]; i < index_.first[static_cast<std::size_t>(id) + 1]; ++i) {
    if (step(index_.steps[i]).alive) result.push_back(index_.steps[i]);
  }
  return result;
}

bool Graph::read_only_by(ValueId id, std::initializer_list<StepId> allowed) const {
  if (value(id).wanted) return false;
  const auto all = readers(id);
  return std::all_of(all.begin(), all.end(),
                     [&](StepId reader) { return std::find(allowed.begin(), allowed.end(), reader) != allowed.end(); });
}

ValueId Graph::through_reshape(ValueId id) const {
  const Step* const step = maker(id);
  return step != nullptr && step->op->alias ? through_reshape(step->inputs[0]) : id;
}

std::vector<Spec> Graph::specs_of(const std::vector<ValueId>& ids) const {
  std::vector<Spec> specs;
  for (const ValueId id : ids) specs.push_back(value(id).spec);
  return specs;
}

std::uint32_t Graph::batched_inputs(const Step& step) const {
  std::uint32_t mask = 0;
  for (std::size_t i = 0; i < step.inputs.size(); ++i) {
    if (value(step.inputs[i]).batched) mask |= 1u << i;
  }
  return mask;
}

StepId Graph::insert(StepId before, Step made, const std::vector<Spec>& output_specs) {
  const std::vector<Spec> specs = specs_of(made.inputs);
  const std::uint32_t mask = batched_inputs(made);
  const BatchEffect effect = mask != 0 ? made.op->batch({{made.attributes, specs}, mask}) : BatchEffect{BatchEffect::Kind::mixes, 0};
  for (std::size_t o = 0; o < output_specs.size(); ++o) {
    Value output;
    output.spec = output_specs[o];
    output.maker = before;
    output.output = static_cast<int>(o);
    output.batched = mask != 0 && ((effect.carried >> o) & 1u) != 0;
    output.name = made.name;
    output.backward = made.backward;
    made.outputs.push_back(static_cast<ValueId>(values.size()));
    values.push_back(std::move(output));
  }
  steps.insert(steps.begin() + before, std::move(made));
  changed();
  for (std::size_t s = 0; s < steps.size(); ++s) {
    for (const ValueId id : steps[s].outputs) value(id).maker = static_cast<StepId>(s);
  }
  for (Packing& packing : packings) {
    if (packing.step >= before) ++packing.step;
  }
  return before;
}

void Graph::set_input(StepId step, std::size_t input, ValueId to) {
  steps[static_cast<std::size_t>(step)].inputs[input] = to;
  changed();
}

void Graph::replace(ValueId from, ValueId to) {
  changed();
  for (Step& step : steps) std::replace(step.inputs.begin(), step.inputs.end(), from, to);
  value(to).backward = value(from).backward;  // a fused step may make values of both passes
  if (!value(from).wanted) return;
  std::replace(outputs.begin(), outputs.end(), from, to);
  value(from).wanted = false;
  value(to).wanted = true;
  value(to).node = value(from).node;  // find() of the Var finds what stands for it
  value(to).node_output = value(from).node_output;
}

}  // namespace wengert::plan
