// reorder: a value in another layout. Outside a plan, where everything is plain, a copy.
#include <algorithm>

#include <wengert/backends/direct/elementwise.hpp>
#include <wengert/backends/winners.hpp>
#include <wengert/ops/fusion/fusions.hpp>
#include <wengert/ops/fusion/rule.hpp>

namespace wengert {

using namespace fusion;

namespace {

void copy(const KernelCall& call) {
  visit_any(call.output(0).dtype, [&](auto zero) {
    using T = decltype(zero);
    std::copy_n(call.input(0).read<T>(), call.input(0).elements(), call.output(0).write<T>());
  });
}

// A list of winners as the dense plane it stands for.
class PreparedExpansion final : public PreparedKernel {
 public:
  PreparedExpansion(Index channels, Index most) : layout_{channels, most} { inputs = {Layout::winners}; }
  void run(const KernelCall& call) const override {
    const Shape& shape = call.output(0).shape;
    const Index pixels = shape[2] * shape[3];
    float* out = call.output(0).write<float>();
    std::fill_n(out, shape.elements(), 0.0f);
    const float* list = call.input(0).read<float>();
    for (Index n = 0; n < shape[0]; ++n, list += layout_.entries()) {
      const auto* const words = reinterpret_cast<const std::int32_t*>(list);
      for (Index c = 0; c < shape[1]; ++c, out += pixels) {
        for (Index i = 0; i < words[c]; ++i) out[words[layout_.positions_at(c) + i]] += list[layout_.values_at(c) + i];
      }
    }
  }

 private:
  WinnersLayout layout_;
};

class PreparedCopy final : public PreparedKernel {
 public:
  void run(const KernelCall& call) const override { copy(call); }
};

class PreparedReorder final : public PreparedKernel {
 public:
  PreparedReorder(Layout from, Layout to) : from_(from), to_(to) {
    inputs = {from};
    outputs = {to};
  }
  void run(const KernelCall& call) const override {
    const Shape& shape = call.input(0).shape;
    direct::reorder(from_, to_, shape[0], shape[1], shape[2] * shape[3], call.input(0).data, call.output(0).data);
  }

 private:
  Layout from_, to_;
};

Preparation prepare(const PlanQuery& query) {
  const Layout from = query.layout(0), to = query.wanted;
  if (from == Layout::nchw && to == Layout::nchw) return {std::make_unique<PreparedCopy>(), {}};
  if (from == Layout::winners && to == Layout::nchw) return {std::make_unique<PreparedExpansion>(query.shape(0)[1], query.capacity), {}};
  const auto plain_or_blocks = [](Layout layout) { return layout == Layout::nchw || layout == Layout::nhwc8; };
  constexpr Index word = 4;
  if (query.shape(0).rank() != 4 || size_of(query.dtype(0)) != word || !plain_or_blocks(from) || !plain_or_blocks(to)) {
    return {nullptr, std::string("only (N,C,H,W) of 4-byte elements goes between nchw and nhwc8, this is ") + name(from)};
  }
  return {std::make_unique<PreparedReorder>(from, to), {}};
}

}  // namespace

const Op& reorder_op() {
  static const Op op = [] {
    Op made = make_constant_op("reorder", "x in another layout of a plan", 1, 1);
    made.shapes = [](const OpQuery& query) { return std::vector<Spec>{query.inputs[0]}; };
    made.batch = [](const BatchQuery&) { return BatchEffect::per_image(); };
    Kernel naive = naive_kernel(copy, {});
    naive.prepare = prepare;
    made.kernels = {std::move(naive)};
    made.samples = [] { return std::vector<Sample>{{{}, {sample_images({9, 3, 2, 2})}}, {{}, {sample_value({4})}}}; };
    return made;
  }();
  return op;
}

std::vector<Op> layout_ops() { return {reorder_op()}; }

}  // namespace wengert
