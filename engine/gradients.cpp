#include <wengert/engine/gradients.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <wengert/engine/context.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/structural.hpp>

namespace wengert {

namespace {

std::string title(const Var& var) {
  const std::string text = var.tape().node(var.node()).text();
  return var.name().empty() ? text : fmt::format("'{}' {}", var.name(), text);
}

// One reverse sweep over nodes [base_, end_) of a tape.
class Sweep {
 public:
  Sweep(Tape tape, Index base, Index end)
      : tape_(std::move(tape)), base_(base), active_(static_cast<std::size_t>(end - base), false), first_slot_(active_.size() + 1, 0) {
    for (Index id = base; id < end; ++id) {
      first_slot_[position(id) + 1] = first_slot_[position(id)] + tape_.node(id).outputs.size();
    }
    cotangents_.resize(first_slot_.back());
  }

  // A node is active where a variable of `wrt` reaches it through ops that have gradients.
  void activate(std::span<const Var> wrt) {
    for (const Var& var : wrt) active_[position(var.node())] = true;
    for (Index id = base_; id < end(); ++id) {
      const Node& node = tape_.node(id);
      if (active_[position(id)] || node.op->smoothness == Op::Smoothness::constant) continue;
      active_[position(id)] =
          std::any_of(node.inputs.begin(), node.inputs.end(), [&](const Node::Input& input) { return takes_gradient(input); });
    }
  }

  void add(Index node, int output, const Var& cotangent) {
    Var& sum = cotangents_[first_slot_[position(node)] + static_cast<std::size_t>(output)];
    sum = sum ? wengert::add(At(sum, tape_.node(node).site), cotangent) : cotangent;
  }

  const Var& cotangent(const Var& var) const {
    return cotangents_[first_slot_[position(var.node())] + static_cast<std::size_t>(var.output())];
  }

  // Leaves the cotangents of `kept` nodes in place and frees the others as soon as they are used.
  void run(std::span<const Var> kept) {
    std::vector<bool> keep(active_.size(), false);
    for (const Var& var : kept) keep[position(var.node())] = true;
    for (Index id = end() - 1; id >= base_; --id) {
      if (!active_[position(id)]) continue;
      if (tape_.node(id).op->smoothness != Op::Smoothness::constant) pull_back(id);
      if (!keep[position(id)]) {
        std::fill(slots(id).begin(), slots(id).end(), Var());
      }
    }
  }

 private:
  std::size_t position(Index id) const { return static_cast<std::size_t>(id - base_); }
  Index end() const { return base_ + static_cast<Index>(active_.size()); }

  std::span<Var> slots(Index id) {
    const std::size_t first = first_slot_[position(id)];
    return {cotangents_.data() + first, first_slot_[position(id) + 1] - first};
  }

  bool takes_gradient(const Node::Input& input) const {
    if (input.node < base_ || input.node >= end() || !active_[position(input.node)]) return false;
    return is_float(tape_.node(input.node).outputs[static_cast<std::size_t>(input.output)].dtype());
  }

  void pull_back(Index id) {
    const Node& node = tape_.node(id);  // stays valid: a tape's nodes do not move
    const std::span<Var> incoming = slots(id);
    if (std::none_of(incoming.begin(), incoming.end(), [](const Var& var) { return static_cast<bool>(var); })) return;
    std::uint32_t wanted = 0;
    std::vector<Var> inputs, outputs;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      inputs.push_back(tape_.var(node.inputs[i].node, node.inputs[i].output));
      if (takes_gradient(node.inputs[i])) wanted |= 1u << i;
    }
    if (wanted == 0) return;
    for (std::size_t o = 0; o < node.outputs.size(); ++o) outputs.push_back(tape_.var(id, static_cast<int>(o)));
    const Index before = tape_.size();
    try {
      distribute(node, inputs, node.op->vjp(VjpCall(*node.op, node.attributes, inputs, outputs, incoming, wanted)), wanted);
    } catch (const Error& error) {
      fail(node.text() + " in its gradient: " + error.what());
    }
    for (Index made = before; made < tape_.size(); ++made) {  // what the vjp recorded bears the forward node's name, with a prime
      Node& child = tape_.state()->nodes[static_cast<std::size_t>(made)];
      child.origin = id;
      child.site = node.site;
      if (!node.name.empty()) child.name = node.name + "'";
    }
  }

  void distribute(const Node& node, std::span<const Var> inputs, std::vector<Var> gradients, std::uint32_t wanted) {
    if (gradients.size() != inputs.size()) {
      fail(fmt::format("its vjp returned {} gradients for {} inputs", gradients.size(), inputs.size()));
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      Var& gradient = gradients[i];
      if (((wanted >> i) & 1u) == 0 || !gradient) continue;
      if (gradient.dtype() != inputs[i].dtype()) {
        fail(fmt::format("its vjp returned {} for input {}, {}", gradient.spec().text(), i, inputs[i].spec().text()));
      }
      if (gradient.shape() != inputs[i].shape()) {
        if (!node.op->broadcasts) {
          fail(fmt::format("its vjp returned shape {} for input {} of shape {}", gradient.shape().text(), i, inputs[i].shape().text()));
        }
        gradient = sum_to(At(gradient, node.site), inputs[i].shape());
      }
      add(node.inputs[i].node, node.inputs[i].output, gradient);
    }
  }

  Tape tape_;
  Index base_;
  std::vector<bool> active_;
  std::vector<std::size_t> first_slot_;  // of each node, in cotangents_
  std::vector<Var> cotangents_;
};

void check_target(const Tape& tape, const Var& var) {
  if (!var) fail("[gradients] wanted a recorded Var to differentiate with respect to, got an empty one");
  if (!var.recorded()) fail("[gradients] wanted a recorded Var to differentiate with respect to, got one that holds only its value");
  var.check();
  if (!(var.tape() == tape))
    fail("[gradients] " + title(var) + " is on " + var.tape().text() + ", the differentiated value on " + tape.text());
  if (!is_float(var.dtype())) fail("[gradients] " + title(var) + " is " + name(var.dtype()) + ": integers have no gradient");
}

Var seed_of(const Tape& tape, const Var& y, const GradientOptions& options, std::size_t index) {
  Tape target = tape;
  if (!options.cotangents.empty()) {
    const Var& given = options.cotangents[index];
    if (!given) return given;
    if (given.spec() != y.spec()) {
      fail("[gradients] wanted a cotangent " + y.spec().text() + " for " + title(y) + ", got " + given.spec().text());
    }
    if (given.recorded() && !(given.tape() == tape)) {
      fail("[gradients] the cotangent of " + title(y) + " is on " + given.tape().text() + ", the differentiated value on " + tape.text());
    }
    if (given.recorded() || !options.record) return given;
    return given.batched() ? target.batch(given.value()) : target.constant(given.value());
  }
  if (y.shape().elements() != 1) {
    fail("[gradients] " + title(y) + " is " + y.spec().text() + ", not a scalar: give its cotangent in GradientOptions::cotangents");
  }
  const Tensor one = Tensor::full(y.shape(), 1.0, y.dtype()).to(y.device());
  return options.record ? target.constant(one) : Var(one);
}

}  // namespace

std::vector<Var> gradients(std::span<const Var> ys, std::span<const Var> wrt, const GradientOptions& options) {
  if (ys.empty() || !ys[0] || !ys[0].recorded())
    fail("[gradients] wanted a recorded Var to differentiate, got one that holds only its value");
  if (wrt.empty()) return {};
  if (!options.cotangents.empty() && options.cotangents.size() != ys.size()) {
    fail(fmt::format("[gradients] wanted {} cotangents, one for each differentiated value, got {}", ys.size(), options.cotangents.size()));
  }
  const Tape tape = ys[0].tape();
  Index base = tape.size(), end = 0;
  for (const Var& var : wrt) {
    check_target(tape, var);
    base = std::min(base, var.node());
    end = std::max(end, var.node() + 1);
  }
  for (const Var& y : ys) {
    check_target(tape, y);
    end = std::max(end, y.node() + 1);
  }
  std::optional<NoRecording> unrecorded;
  if (!options.record) {
    unrecorded.emplace();
    if (tape.catalogue() != nullptr) Context::current().catalogue = tape.catalogue();
  }
  Sweep sweep(tape, base, end);
  sweep.activate(wrt);
  for (std::size_t i = 0; i < ys.size(); ++i) {
    if (const Var seed = seed_of(tape, ys[i], options, i); seed && ys[i].node() >= base) sweep.add(ys[i].node(), ys[i].output(), seed);
  }
  sweep.run(wrt);
  std::vector<Var> results;
  for (const Var& var : wrt) {
    Var result = sweep.cotangent(var);
    if (!result && !options.zero_unused) {
      fail("[gradients] " + title(ys[0]) + " does not depend on " + title(var) + "; GradientOptions::zero_unused gives zeros for such");
    }
    if (!result) {
      Tape target = tape;
      const Tensor zero = Tensor::zeros(var.shape(), var.dtype()).to(var.device());
      result = options.record ? target.constant(zero) : Var(zero);
    }
    results.push_back(result);
  }
  return results;
}

std::vector<Var> gradients(const Var& y, const std::vector<Var>& wrt, const GradientOptions& options) {
  return gradients(std::span<const Var>(&y, 1), std::span<const Var>(wrt), options);
}

}  // namespace wengert
