// What the plan's tests share: small graphs run op by op and as plans, and questions about what the passes did.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <wengert/engine/context.hpp>
#include <wengert/ops/fusion/fusions.hpp>

#include "table_case.hpp"

namespace wengert::test {

// An input of a graph; its values are drawn from its name.
struct GraphInput {
  std::string name = {};
  Shape shape = {};
  bool batched = false;
  Index classes = 0;  // not 0: i32 classes below it
};

inline GraphInput images(std::string name, const Shape& shape) { return {std::move(name), shape, true, 0}; }
inline GraphInput weights(std::string name, const Shape& shape) { return {std::move(name), shape, false, 0}; }
inline GraphInput labels(std::string name, Index count, Index classes) { return {std::move(name), Shape{count}, true, classes}; }

// A graph to be declared on any tape: the function gets the inputs as Vars and returns the outputs.
struct SmallGraph {
  std::vector<GraphInput> inputs = {};
  std::function<std::vector<Var>(const std::vector<Var>&)> declare = {};
  DType dtype = DType::f32;

  Tensor value(const GraphInput& input, DType of) const {
    if (input.classes == 0) return random_like({input.shape, DType::f32}, input.name).cast(of);
    Tensor classes = Tensor::uninitialised({input.shape, DType::i32});
    const View view = classes.mutable_view();
    for (Index i = 0; i < view.elements(); ++i) view.write<std::int32_t>()[i] = static_cast<std::int32_t>((i * 7 + 3) % input.classes);
    return classes;
  }

  // Op by op on naive kernels in f64.
  std::vector<Tensor> eager() const {
    const KernelScope naive("naive");
    Tape tape;
    std::vector<Tensor> values;
    for (const Var& output : declare(leaves(tape, DType::f64))) values.push_back(output.value());
    return values;
  }

  std::vector<Var> leaves(Tape& tape, DType of) const {
    std::vector<Var> vars;
    for (const GraphInput& input : inputs) {
      vars.push_back(input.batched ? tape.batch(value(input, of), input.name) : tape.variable(value(input, of), input.name));
    }
    return vars;
  }

  Plan plan(PlanOptions options = plan_options()) const {
    options.poison = true;
    Tape tape(Tape::Mode::declaring);
    const std::vector<Var> vars = leaves(tape, dtype);
    Plan made(tape, declare(vars), std::move(options));
    for (std::size_t i = 0; i < inputs.size(); ++i) made.set(vars[i], value(inputs[i], dtype));
    return made;
  }
};

inline PlanOptions unfused(PlanOptions options = plan_options()) {
  options.fusions.clear();
  return options;
}

inline std::vector<Tensor> outputs_of(Plan& plan) {
  plan.run();
  std::vector<Tensor> values;
  for (std::size_t o = 0; o < plan.graph().outputs.size(); ++o) values.push_back(plan.value(o));
  return values;
}

// How far a plan's values may be from naive f64: so many rounding units of |value| + max |value|.
inline double plan_bound(DType dtype) { return dtype == DType::f64 ? 1e-12 : 2e-5; }

// Where the graph's values as a plan with these options, or as one without fusions, differ from those op by op; or nothing.
inline std::optional<std::string> plans_differ(const SmallGraph& graph, const PlanOptions& options = plan_options()) {
  const std::vector<Tensor> wanted = graph.eager();
  for (const bool fused : {true, false}) {
    for (const Index chunk : {Index{0}, Index{1}, Index{3}}) {
      PlanOptions chosen = fused ? options : unfused(options);
      chosen.chunk = chunk;
      Plan plan = graph.plan(chosen);
      plan::verify(plan.graph(), plan.arenas());
      const std::vector<Tensor> first = outputs_of(plan), second = outputs_of(plan);
      const std::string where = (fused ? "fused" : "unfused") + std::string(", chunk ") + std::to_string(chunk) + ": ";
      if (const auto what = differ(first, wanted, plan_bound(graph.dtype))) return where + *what;
      for (std::size_t o = 0; o < first.size(); ++o) {
        if (!same_bits(first[o], second[o])) return where + "a second run gives other bits";
      }
    }
  }
  return {};
}

inline bool noted(const plan::Graph& graph, const std::string& pass, const std::string& text) {
  return std::any_of(graph.notes.begin(), graph.notes.end(),
                     [&](const plan::Note& note) { return note.pass == pass && note.text.find(text) != std::string::npos; });
}

// Living steps of an op.
inline Index count_of(const plan::Graph& graph, const std::string& op) {
  return std::count_if(graph.steps.begin(), graph.steps.end(), [&](const plan::Step& step) { return step.alive && step.op->name == op; });
}

// The only living step of an op, or an exception that says how many there are.
inline const plan::Step& step_of(const plan::Graph& graph, const std::string& op) {
  for (const plan::Step& step : graph.steps) {
    if (step.alive && step.op->name == op && count_of(graph, op) == 1) return step;
  }
  throw std::runtime_error("wanted one step " + op + ", the plan has " + std::to_string(count_of(graph, op)));
}

}  // namespace wengert::test
