#include "replay.hpp"

#include <algorithm>
#include <numeric>

#include <wengert/engine/executor.hpp>
#include <wengert/engine/structural.hpp>

namespace wengert::command {

using plan::Extent;
using plan::Step;
using plan::Value;
using plan::ValueId;

Buffer::Buffer(Index bytes) {
  constexpr Index slack = 64;
  tensor_ = Tensor::zeros({bytes / size_of(DType::f32) + slack}, DType::f32);
}

Replay::Replay(const Plan& plan) : graph_(plan.graph()), data_(graph_.values.size(), nullptr) {
  for (std::size_t v = 0; v < data_.size(); ++v) {
    if (graph_.values[v].source != Value::Source::step && graph_.values[v].layout != Layout::packed)
      data_[v] = plan.view(static_cast<ValueId>(v)).data;
  }
  std::vector<plan::StepId> order(graph_.steps.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](plan::StepId a, plan::StepId b) { return graph_.step(a).level < graph_.step(b).level; });
  const FloatEnvironment environment(true);
  for (const plan::StepId id : order) {
    if (graph_.step(id).alive) run(graph_.step(id));
  }
}

void* Replay::allocate(Index bytes) {
  buffers_.emplace_back(bytes);
  return buffers_.back().data();
}

View Replay::part(ValueId id, Index chunk) const {
  const Value& value = graph_.value(id);
  View view{data_[static_cast<std::size_t>(id)], value.spec.shape, value.spec.dtype, value.layout, value.capacity};
  if (chunk < 0 || !value.batched) return view;
  view.data = static_cast<std::byte*>(view.data) + chunk * value.bytes(graph_.chunk);
  view.shape[0] = std::min(graph_.chunk, graph_.batch - chunk * graph_.chunk);
  return view;
}

View Replay::value(ValueId id) const { return part(id, -1); }
View Replay::first_chunk(ValueId id) const { return part(id, 0); }

ValueId Replay::source(ValueId id) const {
  for (const plan::Packing& packing : graph_.packings) {
    if (packing.to == id) return source(packing.from);
  }
  return graph_.made_by(id, "reorder") ? source(graph_.maker(id)->inputs[0]) : id;
}

void Replay::pack_inputs(const Step& step) {
  for (const plan::Packing& packing : graph_.packings) {
    if (&graph_.step(packing.step) != &step) continue;
    void* const packed = allocate(graph_.value(packing.to).packed_bytes);
    step.prepared->pack(packing.input, value(packing.from).data, packed);
    data_[static_cast<std::size_t>(packing.to)] = packed;
  }
}

void Replay::run(const Step& step) {
  if (step.op->alias || step.attributes.holds<AssignAttributes>()) {
    data_[static_cast<std::size_t>(step.outputs[0])] = value(step.inputs[0]).data;
    return;
  }
  pack_inputs(step);
  for (const ValueId id : step.outputs) data_[static_cast<std::size_t>(id)] = allocate(graph_.value(id).bytes(graph_.batch));
  Buffer workspace(step.prepared->workspace());
  const bool whole = step.extent == Extent::whole;
  const Index floats = step.extent == Extent::partial ? step.prepared->partial_floats() : 0;
  std::vector<Tensor> sums(step.outputs.size());
  Buffer total(floats * size_of(DType::f32)), slot(floats * size_of(DType::f32));
  for (Index chunk = 0; chunk < (whole ? 1 : graph_.chunks()); ++chunk) {
    std::vector<View> inputs, outputs;
    for (const ValueId id : step.inputs) inputs.push_back(part(id, whole ? -1 : chunk));
    for (const ValueId id : step.outputs) outputs.push_back(part(id, whole ? -1 : chunk));
    if (floats > 0) outputs[0].data = slot.data();
    KernelCall call{step.attributes, inputs, outputs, whole ? 0 : chunk * graph_.chunk, workspace.data()};
    for (call.slice = 0; call.slice < (whole ? step.prepared->slices() : 1); ++call.slice) step.prepared->run(call);
    if (step.extent != Extent::partial) continue;
    const auto add = [](auto* to, const auto* from, Index count) {
      std::transform(from, from + count, to, to, [](auto a, auto b) { return a + b; });
    };
    if (floats > 0) {
      add(static_cast<float*>(total.data()), static_cast<const float*>(slot.data()), floats);
      continue;
    }
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      visit_any(outputs[o].dtype, [&](auto zero) {
        using T = decltype(zero);
        if (chunk == 0) sums[o] = Tensor::zeros(outputs[o].shape, outputs[o].dtype);
        add(sums[o].mutable_view().write<T>(), outputs[o].read<T>(), outputs[o].elements());
        if (chunk + 1 == graph_.chunks()) std::copy_n(sums[o].view().read<T>(), outputs[o].elements(), outputs[o].write<T>());
      });
    }
  }
  if (floats == 0) return;
  std::vector<View> outputs;
  for (const ValueId id : step.outputs) outputs.push_back(value(id));
  step.prepared->finish(static_cast<const float*>(total.data()), outputs);
}

}  // namespace wengert::command
