#include <algorithm>

#include <wengert/ops/direct_kernels.hpp>

namespace wengert {

namespace {

Kernel f32_kernel() {
  Kernel kernel;
  kernel.backend = "direct";
  kernel.dtypes = {DType::f32};
  return kernel;
}

// Blocks where an input lies in them and their padding stays zero; else plain.
Layout common_layout(const PlanQuery& query, bool keeps_zero) {
  const bool blocks = std::find(query.layouts.begin(), query.layouts.end(), Layout::nhwc8) != query.layouts.end();
  constexpr Index lanes = 8;
  const bool padded = blocks && query.shape(0)[1] % lanes != 0;
  return blocks && (keeps_zero || !padded) ? Layout::nhwc8 : Layout::nchw;
}

// Elements in memory, padding included.
Index elements_of(const View& view) {
  if (view.layout != Layout::nhwc8) return view.elements();
  constexpr Index lanes = 8;
  return view.shape[0] * ((view.shape[1] + lanes - 1) / lanes * lanes) * view.shape[2] * view.shape[3];
}

class PreparedElementwise final : public PreparedKernel {
 public:
  PreparedElementwise(ElementwiseRun run, Layout layout, std::size_t count) : run_(std::move(run)) {
    inputs.assign(count, layout);
    outputs = {layout};
  }
  void run(const KernelCall& call) const override { run_(call, elements_of(call.output(0))); }

 private:
  ElementwiseRun run_;
};

bool same_shapes(const OpQuery& query) {
  return std::all_of(query.inputs.begin(), query.inputs.end(), [&](const Spec& spec) { return spec.shape == query.shape(0); });
}

// x (N,C,H,W) and one value a channel, (1,C,1,1) or (C,1,1).
bool per_channel(const OpQuery& query) {
  const Shape &x = query.shape(0), &b = query.shape(1);
  return x.rank() == 4 && (b == Shape{1, x[1], 1, 1} || b == Shape{x[1], 1, 1});
}

class PreparedAdd final : public PreparedKernel {
 public:
  explicit PreparedAdd(Layout layout) {
    inputs = {layout, Layout::nchw};
    outputs = {layout};
  }
  void run(const KernelCall& call) const override {
    const View& x = call.input(0);
    direct::add_channels(x.layout, x.shape[0], x.shape[1], x.shape[2] * x.shape[3], x.read<float>(), call.input(1).read<float>(), false,
                         call.output(0).write<float>());
  }
};

}  // namespace

Kernel direct_elementwise_kernel(ElementwiseRun run, bool keeps_zero) {
  Kernel kernel = f32_kernel();
  kernel.run = [run](const KernelCall& call) { run(call, call.output(0).elements()); };
  kernel.refuse = [](const OpQuery& query) -> std::string { return same_shapes(query) ? "" : "it does not broadcast"; };
  kernel.prepare = [run, keeps_zero](const PlanQuery& query) -> Preparation {
    return {std::make_unique<PreparedElementwise>(run, common_layout(query, keeps_zero), query.inputs.size()), {}};
  };
  return kernel;
}

Kernel direct_unary_kernel(direct::Unary f) {
  return direct_elementwise_kernel(
      [f](const KernelCall& call, Index count) { direct::unary(f, count, call.input(0).read<float>(), call.output(0).write<float>()); },
      direct::keeps_zero(f));
}

Kernel direct_binary_kernel(direct::Binary f, bool swapped) {
  const int a = swapped ? 1 : 0, b = swapped ? 0 : 1;
  return direct_elementwise_kernel(
      [f, a, b](const KernelCall& call, Index count) {
        direct::binary(f, count, call.input(a).read<float>(), call.input(b).read<float>(), call.output(0).write<float>());
      },
      direct::keeps_zero(f));
}

Kernel direct_add_kernel() {
  Kernel kernel = direct_binary_kernel(direct::Binary::add);
  const auto run = kernel.run;
  const auto prepare = kernel.prepare;
  kernel.refuse = [](const OpQuery& query) -> std::string {
    return same_shapes(query) || per_channel(query) ? "" : "it broadcasts only one value a channel";
  };
  kernel.run = [run](const KernelCall& call) {
    if (call.input(0).shape == call.input(1).shape) run(call);
    else PreparedAdd(Layout::nchw).run(call);
  };
  kernel.prepare = [prepare](const PlanQuery& query) -> Preparation {
    if (same_shapes(query)) return prepare(query);
    return {std::make_unique<PreparedAdd>(query.layout(0) == Layout::nhwc8 ? Layout::nhwc8 : Layout::nchw), {}};
  };
  return kernel;
}

}  // namespace wengert
