#include <wengert/engine/plan/plan.hpp>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>
#include <wengert/engine/plan/body.hpp>

namespace wengert {

using plan::Step;
using plan::ValueId;

namespace {

plan::Graph make_graph(const Tape& tape, const std::vector<Var>& outputs, const PlanOptions& options) {
  plan::Graph graph(tape, outputs);
  graph.device = options.device;
  graph.catalogue = tape.catalogue() != nullptr ? tape.catalogue() : options.catalogue;
  for (Step& step : graph.steps) step.op = &graph.resolve(*step.op);
  plan::prune(graph);
  const std::string& backend = options.kernels.backend;
  const bool ours = backend.empty() || backend == "direct" || backend == "winograd" || backend == "cuda";
  if (ours) plan::fuse(graph, options.fusions);
  else graph.note("fuse", "nothing: kernel " + options.kernels.text() + " was asked for");
  plan::chunk(graph, options.chunk);
  plan::choose(graph, options.kernels, graph.on_device() ? nullptr : options.reorder, options.tuning.get());
  return graph;
}

}  // namespace

Plan::Plan(const Tape& tape, const std::vector<Var>& outputs, PlanOptions options) : body_(nullptr) {
  plan::Graph graph = make_graph(tape, outputs, options);
  const bool on_host = options.device == Device{};
  body_ = on_host ? plan::host_body(std::move(graph), std::move(options)) : plan::device_body(std::move(graph), std::move(options));
}
Plan::~Plan() = default;
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;

namespace {

ValueId input_of(const plan::Graph& graph, const Var& variable) {
  const ValueId id = graph.find(variable);
  if (graph.value(id).source != plan::Value::Source::input)
    fail("[plan] '" + graph.value(id).name + "' is no input: variables and batches of the tape are");
  return id;
}

}  // namespace

View Plan::input(const Var& variable) { return body_->input(input_of(graph(), variable)); }

void Plan::set(const Var& variable, const Tensor& value) {
  const ValueId id = input_of(graph(), variable);
  if (const Spec& wanted = graph().value(id).spec; value.spec() != wanted) {
    fail("[plan] wanted " + wanted.text() + " as '" + variable.name() + "', got " + value.spec().text() + ": a plan is made for one shape");
  }
  body_->set(id, value);
}

void Plan::set(const Var& variable, double value) {
  const View to = input(variable);
  if (to.elements() != 1) fail("[plan] wanted " + Spec{to.shape, to.dtype}.text() + " as '" + variable.name() + "', got one number");
  visit_any(to.dtype, [&](auto zero) { *to.write<decltype(zero)>() = static_cast<decltype(zero)>(value); });
}

void Plan::run() { body_->run(); }
View Plan::output(std::size_t index) const {
  if (index >= graph().outputs.size()) fail(fmt::format("[plan] wanted an output below {}, got {}", graph().outputs.size(), index));
  return body_->output(graph().outputs[index]);
}

Tensor Plan::value(std::size_t index) const {
  const View view = output(index);
  return visit_any(view.dtype, [&](auto zero) { return Tensor::copy(view.read<decltype(zero)>(), view.shape); });
}

double Plan::item(std::size_t index) const {
  const View view = output(index);
  if (view.elements() != 1) fail(fmt::format("[plan] wanted a scalar as output {}, it is {}", index, Spec{view.shape, view.dtype}.text()));
  return visit_any(view.dtype, [&](auto zero) { return static_cast<double>(*view.read<decltype(zero)>()); });
}

View Plan::view(ValueId id) const { return body_->view(id); }
const plan::Graph& Plan::graph() const { return body_->graph(); }
const plan::Arenas& Plan::arenas() const { return body_->arenas(); }
Index Plan::barriers() const { return static_cast<Index>(body_->program().levels.size()); }
Index Plan::bytes() const { return body_->bytes(); }
void Plan::trace(std::vector<TraceEvent>* events) { body_->trace(events); }
std::size_t Plan::events_per_run() const { return body_->events_per_run(); }

}  // namespace wengert
