#include "trial.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <wengert/engine/error.hpp>
#include <wengert/engine/executor.hpp>
#include <wengert/ops/fusion/fusions.hpp>

namespace wengert::command {

using plan::Extent;
using plan::Step;
using plan::ValueId;

StepQuery::StepQuery(const Replay& replay, const Step& of) : graph(replay.graph()), step(of) {
  for (std::size_t i = 0; i < step.inputs.size(); ++i) {
    const ValueId source = replay.source(step.inputs[i]);
    const View view = step.extent == Extent::whole ? replay.value(source) : replay.first_chunk(source);
    sources.push_back(source);
    specs.push_back({view.shape, view.dtype});
    layouts.push_back(view.layout);
    if (view.layout == Layout::winners) capacity = view.capacity;
    if (graph.value(source).batched) batched |= 1u << i;
  }
}

PlanQuery StepQuery::query(Layout wanted) const {
  return {{step.attributes, specs}, layouts, wanted, capacity, batched, step.extent == Extent::whole};
}
std::string StepQuery::key() const { return plan::tuning_key(step, {step.attributes, specs}); }
DType StepQuery::dtype() const { return deciding_dtype(specs, graph.specs_of(step.outputs)); }

void* Trial::Worker::allocate(Index bytes) {
  buffers.emplace_back(bytes);
  return buffers.back().data();
}

Trial::Trial(const Replay& replay, const Step& step, const Kernel& kernel, Layout wanted, int workers, bool alone)
    : step_(step), backend_(kernel.backend), whole_(step.extent == Extent::whole) {
  const StepQuery asked(replay, step);
  Preparation ready = plan::offer(kernel, asked.query(wanted), asked.dtype());
  refusal_ = ready.refusal;
  prepared_ = std::move(ready.kernel);
  if (!refusal_.empty()) return;
  const Layout in_plan = replay.graph().value(step.outputs[0]).layout;
  if (!alone && (layout() == Layout::winners) != (in_plan == Layout::winners)) {
    refusal_ = in_plan == Layout::winners ? "its readers take a list of winners" : "its readers take no list of winners";
    return;
  }
  workers_.resize(static_cast<std::size_t>(whole_ ? 1 : workers));
  for (Worker& worker : workers_) set_up(worker, replay, step, alone);
}

Index Trial::bytes_of(const View& view) const {
  plan::Value value;
  value.spec = {view.shape, view.dtype};
  value.layout = view.layout;
  value.capacity = view.capacity;
  return value.bytes(0);
}

const PreparedKernel* Trial::reorder(const View& from, Layout to) {
  const std::vector<Spec> specs = {{from.shape, from.dtype}};
  const Layout layouts[] = {from.layout};
  const Attributes none;
  Preparation ready = reorder_op().kernels.back().prepare(PlanQuery{{none, specs}, layouts, to, from.capacity});
  if (!ready.kernel) fail("[tune] " + ready.refusal);
  reorders_.push_back(std::move(ready.kernel));
  return reorders_.back().get();
}

View Trial::moved(Worker& worker, std::vector<Move>& moves, View from, Layout to, Index bytes) {
  if (from.layout == to) return from;
  if (from.layout == Layout::winners && to != Layout::nchw) from = moved(worker, moves, from, Layout::nchw, from.bytes());
  View result = from;
  result.layout = to;
  result.data = worker.allocate(std::max(bytes, bytes_of(result)));
  moves.push_back({reorder(from, to), from, result});
  return result;
}

void Trial::set_up(Worker& worker, const Replay& replay, const Step& step, bool alone) {
  const plan::Graph& graph = replay.graph();
  for (std::size_t i = 0; i < step.inputs.size(); ++i) {
    const ValueId source = replay.source(step.inputs[i]);
    View view = whole_ ? replay.value(source) : replay.first_chunk(source);
    if (prepared_->input_layout(i) == Layout::packed) {
      void* const packed = worker.allocate(prepared_->packed_bytes(static_cast<int>(i)));
      prepared_->pack(static_cast<int>(i), view.data, packed);
      view.data = packed;
      view.layout = Layout::packed;
    } else {
      view = moved(worker, worker.before, view, prepared_->input_layout(i), 0);
    }
    worker.inputs.push_back(view);
  }
  const Index images = whole_ ? graph.batch : std::min(graph.chunk, graph.batch);
  for (std::size_t o = 0; o < step.outputs.size(); ++o) {
    const plan::Value& value = graph.value(step.outputs[o]);
    const Layout lies = prepared_->output_layout(o);
    View view{nullptr, value.spec.shape, value.spec.dtype, lies, lies == Layout::winners ? prepared_->capacity : 0};
    if (value.batched) view.shape[0] = images;
    const Index floats = o == 0 && !whole_ ? prepared_->partial_floats() : 0;
    view.data = worker.allocate(std::max(bytes_of(view), floats * size_of(DType::f32)));
    worker.outputs.push_back(view);
    if (!alone) moved(worker, worker.after, view, value.layout, 0);
  }
  worker.workspace = worker.allocate(prepared_->workspace());
}

void Trial::perform(const Move& move) {
  const Attributes none;
  const View from[] = {move.from}, to[] = {move.to};
  move.reorder->run({none, from, to});
}

void Trial::run(int worker) const {
  const FloatEnvironment environment(true);
  const Worker& mine = workers_[static_cast<std::size_t>(worker)];
  for (const Move& move : mine.before) perform(move);
  for (Index slice = 0; slice < slices(); ++slice) prepared_->run({step_.attributes, mine.inputs, mine.outputs, 0, mine.workspace, slice});
  for (const Move& move : mine.after) perform(move);
}

void Trial::run_slice(Index slice) const {
  const FloatEnvironment environment(true);
  const Worker& mine = workers_[0];
  prepared_->run({step_.attributes, mine.inputs, mine.outputs, 0, mine.workspace, slice});
}

std::vector<Tensor> Trial::plain_outputs() {
  const Worker& mine = workers_[0];
  std::vector<Tensor> results;
  std::vector<View> views;
  for (const View& view : mine.outputs) {
    results.push_back(Tensor::zeros(view.shape, view.dtype));
    views.push_back(results.back().mutable_view());
  }
  if (!whole_ && step_.extent == Extent::partial && prepared_->partial_floats() > 0) {
    prepared_->finish(mine.outputs[0].read<float>(), views);
    return results;
  }
  for (std::size_t o = 0; o < views.size(); ++o) {
    const View& view = mine.outputs[o];
    if (view.layout == Layout::nchw)
      std::copy_n(static_cast<const std::byte*>(view.data), view.bytes(), static_cast<std::byte*>(views[o].data));
    else perform({reorder(view, Layout::nchw), view, views[o]});
  }
  return results;
}

double error_between(const std::vector<Tensor>& got, const std::vector<Tensor>& wanted) {
  double worst = 0;
  for (std::size_t o = 0; o < wanted.size(); ++o) {
    const Index count = wanted[o].elements();
    if (!is_float(wanted[o].dtype())) {
      Index different = 0;
      for (Index i = 0; i < count; ++i) different += got[o].at(i) == wanted[o].at(i) ? 0 : 1;
      constexpr double weight = 0.1;
      if (count > 0) worst = std::max(worst, weight * static_cast<double>(different) / static_cast<double>(count));
      continue;
    }
    double largest = 0, difference = 0;
    for (Index i = 0; i < count; ++i) {
      if (!std::isfinite(got[o].at(i))) return std::numeric_limits<double>::infinity();
      largest = std::max(largest, std::abs(wanted[o].at(i)));
      difference = std::max(difference, std::abs(got[o].at(i) - wanted[o].at(i)));
    }
    worst = std::max(worst, largest > 0 ? difference / largest : difference);
  }
  return worst;
}

}  // namespace wengert::command
