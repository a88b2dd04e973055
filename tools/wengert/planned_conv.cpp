#include "planned_conv.hpp"

#include <wengert/engine/error.hpp>
#include <wengert/engine/plan/passes.hpp>
#include <wengert/engine/sum_tree.hpp>
#include <wengert/ops/fusion/fusions.hpp>

namespace wengert::command {

namespace {

constexpr Index block = 8;

Layout in_a_plan(const Spec& spec) { return spec.shape.rank() == 4 && spec.shape[1] >= block ? Layout::nhwc8 : Layout::nchw; }

Index bytes_of(const Spec& spec, Layout layout) {
  plan::Value value;
  value.spec = spec;
  value.layout = layout;
  return value.bytes(0);
}

}  // namespace

View PlannedConv::Operand::chunk(Index first, Index count) const {
  View part = view;
  if (image_bytes > 0) part.data = static_cast<std::byte*>(view.data) + first * image_bytes, part.shape[0] = count;
  return part;
}

PlannedConv::PlannedConv(const Op& op, const Attributes& attributes, const Kernel& kernel, const std::vector<Tensor>& inputs)
    : attributes_(attributes) {
  std::vector<Spec> specs;
  std::vector<Layout> layouts;
  for (const Tensor& input : inputs) specs.push_back(input.spec());
  result_ = op.shapes({attributes_, specs})[0];
  batch_ = specs[0].shape[0], chunk_ = std::min(chunk_size(batch_), batch_);
  const bool sums = std::string(op.name) == "conv2d_weight";
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const bool batched = i == 0 || sums;
    if (batched) specs[i].shape[0] = chunk_;
    layouts.push_back(batched ? in_a_plan(specs[i]) : Layout::nchw);
  }
  PlanQuery query{{attributes_, specs}, layouts, sums ? Layout::nchw : in_a_plan(result_), 0, sums ? 3u : 1u, false};
  Preparation ready = plan::offer(kernel, query, specs[0].dtype);
  refusal_ = ready.refusal;
  kernel_ = std::move(ready.kernel);
  if (!kernel_) return;
  for (std::size_t i = 0; i < inputs.size(); ++i) inputs_.push_back(laid_out(static_cast<int>(i), inputs[i], i == 0 || sums));
  output_ = blank(result_, kernel_->output_layout(0), !sums);
  if (!sums) return;
  part_bytes_ = std::max(kernel_->partial_floats() * size_of(DType::f32), bytes_of(result_, Layout::nchw));
  parts_ = static_cast<std::byte*>(allocate((batch_ + chunk_ - 1) / chunk_ * part_bytes_));
}

void* PlannedConv::allocate(Index bytes) {
  buffers_.emplace_back(bytes);
  return buffers_.back().data();
}

PlannedConv::Operand PlannedConv::blank(const Spec& spec, Layout layout, bool batched) {
  Operand operand{{nullptr, spec.shape, spec.dtype, layout}};
  const Index bytes = bytes_of(spec, layout);
  if (batched && batch_ > 0) operand.image_bytes = bytes / batch_;
  operand.view.data = allocate(bytes);
  return operand;
}

PlannedConv::Operand PlannedConv::laid_out(int number, const Tensor& plain, bool batched) {
  const Layout layout = kernel_->input_layout(static_cast<std::size_t>(number));
  if (layout == Layout::packed) {
    Operand packed{{allocate(kernel_->packed_bytes(number)), plain.shape(), plain.dtype(), layout}};
    kernel_->pack(number, plain.view().data, packed.view.data);
    return packed;
  }
  Operand operand = blank(plain.spec(), layout, batched);
  reorder(plain.view(), operand.view);
  return operand;
}

void PlannedConv::reorder(const View& from, const View& to) {
  const std::vector<Spec> specs = {{from.shape, from.dtype}};
  const Layout layouts[] = {from.layout};
  const Attributes none;
  const View inputs[] = {from}, outputs[] = {to};
  if (from.layout == to.layout) {
    std::copy_n(static_cast<const std::byte*>(from.data), from.bytes(), static_cast<std::byte*>(to.data));
    return;
  }
  const Preparation ready = reorder_op().kernels.back().prepare(PlanQuery{{none, specs}, layouts, to.layout});
  if (!ready.kernel) fail("[bench conv] " + ready.refusal);
  ready.kernel->run({none, inputs, outputs});
}

void PlannedConv::run(Executor& executor) {
  while (static_cast<int>(workspaces_.size()) < executor.workers()) workspaces_.push_back(allocate(kernel_->workspace()));
  const Index chunks = (batch_ + chunk_ - 1) / chunk_;
  executor.run(chunks, [&](Index number, int worker) {
    const FloatEnvironment environment(true);
    const Index first = number * chunk_, images = std::min(chunk_, batch_ - first);
    View inputs[2], output = output_.chunk(first, images);
    for (std::size_t i = 0; i < inputs_.size(); ++i) inputs[i] = inputs_[i].chunk(first, images);
    if (parts_ != nullptr) output.data = parts_ + number * part_bytes_;
    kernel_->run({attributes_, {inputs, inputs_.size()}, {&output, 1}, first, workspaces_[static_cast<std::size_t>(worker)]});
  });
  if (parts_ == nullptr) return;
  visit_float(result_.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto part = [&](Index number) { return reinterpret_cast<T*>(parts_ + number * part_bytes_); };
    const Index floats = kernel_->partial_floats();
    sum_tree<T>(chunks, part, 0, floats > 0 ? floats : result_.shape.elements());
    if (floats > 0) kernel_->finish(reinterpret_cast<const float*>(parts_), {&output_.view, 1});
    else std::copy_n(part(0), result_.shape.elements(), output_.view.write<T>());
  });
}

Tensor PlannedConv::result() const {
  Tensor plain = Tensor::zeros(result_.shape, result_.dtype);
  reorder(output_.view, plain.mutable_view());
  return plain;
}

}  // namespace wengert::command
