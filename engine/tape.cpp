#include <wengert/engine/tape.hpp>

#include <algorithm>
#include <atomic>

#include <wengert/engine/error.hpp>

namespace wengert {

namespace {

// Leaves are nodes like others, with ops that nothing runs.
const Op& leaf_op(const char* kind) {
  const auto make = [](const char* name) {
    Op op;
    op.name = name;
    op.min_inputs = op.max_inputs = 0;
    op.smoothness = Op::Smoothness::constant;
    return op;
  };
  static const Op variable = make("variable"), constant = make("constant"), batch = make("batch"), parameter = make("parameter");
  switch (kind[0]) {
    case 'v': return variable;
    case 'c': return constant;
    case 'b': return batch;
    default: return parameter;
  }
}

Var record_leaf(const std::shared_ptr<TapeState>& tape, const char* kind, Tensor value, std::string name, Site site) {
  const bool keep_value = tape->mode == Tape::Mode::eager || kind[0] == 'c';
  Node& node = tape->nodes.emplace_back();
  node.op = &leaf_op(kind);
  node.outputs.push_back(keep_value ? std::move(value) : Tensor::declared(value.spec()));
  node.name = std::move(name);
  node.site = site;
  node.batched = kind[0] == 'b' ? 1u : 0u;
  return Var(tape, tape->generation, static_cast<Index>(tape->nodes.size()) - 1, 0);
}

std::shared_ptr<TapeState> new_state(Tape::Mode mode) {
  static std::atomic<std::uint64_t> next_id{1};
  auto state = std::make_shared<TapeState>();
  state->mode = mode;
  state->id = next_id++;
  return state;
}

}  // namespace

std::string Node::text() const { return caption(op->name, name, site); }

Tape::Tape(Mode mode) : state_(new_state(mode)) {}

Tape::Tape(Catalogue catalogue, Mode mode) : state_(new_state(mode)) { state_->catalogue = std::move(catalogue); }

Tape::Mode Tape::mode() const { return state_->mode; }
Index Tape::size() const { return static_cast<Index>(state_->nodes.size()); }
const Catalogue* Tape::catalogue() const { return state_->catalogue ? &*state_->catalogue : nullptr; }
std::string Tape::text() const { return "tape " + std::to_string(state_->id); }

const Node& Tape::node(Index id) const {
  if (id < 0 || id >= size())
    fail("[tape] there is no node " + std::to_string(id) + " on " + text() + ", which has " + std::to_string(size()));
  return state_->nodes[static_cast<std::size_t>(id)];
}

Var Tape::var(Index id, int output) const {
  if (output < 0 || output >= static_cast<int>(node(id).outputs.size())) fail(node(id).text() + " has no output " + std::to_string(output));
  return Var(state_, state_->generation, id, output);
}

void Tape::clear() {
  state_->nodes.clear();
  state_->nodes.shrink_to_fit();
  state_->parameters.clear();
  state_->bound.clear();
  ++state_->generation;
}

Var Tape::variable(Tensor value, std::string name, const char* file, int line) {
  return record_leaf(state_, "variable", std::move(value), std::move(name), {file, line});
}

Var Tape::constant(Tensor value, std::string name, const char* file, int line) {
  return record_leaf(state_, "constant", std::move(value), std::move(name), {file, line});
}

Var Tape::batch(Tensor value, std::string name, const char* file, int line) {
  if (value.shape().rank() == 0) fail("[batch '" + name + "'] wanted a tensor whose axis 0 is the batch, got a scalar");
  return record_leaf(state_, "batch", std::move(value), std::move(name), {file, line});
}

Var Tape::parameter(const Parameter& parameter, Site site) {
  for (const auto& [known, node] : state_->parameters) {
    if (known == parameter) return var(node);
    if (known.name() == parameter.name()) {
      fail("[parameter '" + parameter.name() + "'] another parameter of " + text() + " has this name: names must be unique");
    }
  }
  Index node = -1;
  for (const auto& [bound, id] : state_->bound) {
    if (bound == parameter) node = id;
  }
  if (node < 0) node = record_leaf(state_, "parameter", parameter.tensor(), parameter.name(), site).node();
  state_->parameters.emplace_back(parameter, node);
  return var(node);
}

void Tape::bind(const Parameter& parameter, const Var& to) {
  if (to.state() != state_ || to.output() != 0) fail("[parameter '" + parameter.name() + "'] wanted a Var of " + text() + " to bind to");
  if (to.shape() != parameter.shape()) {
    fail("[parameter '" + parameter.name() + "'] wanted shape " + parameter.shape().text() + ", got " + to.shape().text());
  }
  for (const auto& use : state_->parameters) {
    if (use.first == parameter)
      fail("[parameter '" + parameter.name() + "'] was read on " + text() + " already: bind it before its first use");
  }
  state_->bound.emplace_back(parameter, to.node());
}

std::vector<Parameter> Tape::parameters() const {
  std::vector<Parameter> result;
  for (const auto& use : state_->parameters) result.push_back(use.first);
  return result;
}

}  // namespace wengert
