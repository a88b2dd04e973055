#include <wengert/engine/plan/body.hpp>

#include <wengert/engine/error.hpp>
#include <wengert/engine/structural.hpp>

namespace wengert::plan {

Body::Body(Graph graph, PlanOptions options)
    : options_(std::move(options)), graph_(std::move(graph)), arenas_(place(graph_)), program_(compile(graph_)) {
#ifndef NDEBUG
  verify(graph_, arenas_);
#endif
  address_.resize(graph_.values.size(), nullptr);
  find_uses();
}

void Body::find_uses() {
  for (std::size_t v = 0; v < graph_.values.size(); ++v) {
    if (const auto& parameter = graph_.values[v].parameter) parameters_.push_back({static_cast<ValueId>(v), *parameter, false, unseen});
  }
  for (const Step& step : graph_.steps) {
    if (!step.attributes.holds<AssignAttributes>()) continue;
    const Parameter& target = step.attributes.as<AssignAttributes>().parameter;
    bool known = false;
    for (ParameterUse& use : parameters_) {
      if (use.parameter == target) known = use.assigned = true;
    }
    if (!known) parameters_.push_back({-1, target, true, unseen});
  }
}

void Body::share_addresses() {
  for (std::size_t v = 0; v < graph_.values.size(); ++v) {
    ValueId holder = static_cast<ValueId>(v);
    while (graph_.value(holder).same_as >= 0) holder = graph_.value(holder).same_as;
    address_[v] = address_[static_cast<std::size_t>(holder)];
  }
}

bool Body::find_parameters() {
  bool moved = false;
  for (ParameterUse& use : parameters_) {
    if (const Device lives = use.parameter.device(); lives != options_.device) {
      fail("[plan] wanted parameter '" + use.parameter.name() + "' on " + text_of(options_.device) + ", it lives on " + text_of(lives) +
           ": Parameter::to() moves it");
    }
    if (use.assigned) use.parameter.own();
    auto* const data = static_cast<std::byte*>(use.parameter.tensor().memory().data);
    moved = moved || use.data != data;
    use.data = data;
    if (use.id >= 0) address_[static_cast<std::size_t>(use.id)] = data;
  }
  if (moved) share_addresses();
  return moved;
}

void Body::parameters_changed() {
  for (ParameterUse& use : parameters_) {
    if (!use.assigned) continue;
    use.parameter.changed();
    use.version = use.parameter.version();
  }
}

}  // namespace wengert::plan
