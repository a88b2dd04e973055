#include <algorithm>

#include <wengert/ops/batch_norm.hpp>
#include <wengert/ops/direct_kernels.hpp>

namespace wengert {

namespace {

constexpr Index lanes = 8;  // channels of a block, and of a slice

direct::BatchNorm size_of_call(const KernelCall& call, Layout layout) {
  const Shape& x = call.input(0).shape;
  direct::BatchNorm size;
  size.layout = layout;
  size.images = x[0], size.channels = x[1], size.pixels = x.elements(2, x.rank());
  size.epsilon = static_cast<float>(call.attributes.as<BatchNormAttributes>().epsilon);
  return size;
}

void run_channels(bool gradient, const KernelCall& call, Layout layout, Index first, Index last) {
  const auto in = [&](int i) { return call.input(i).read<float>(); };
  const auto out = [&](int o) { return call.output(o).write<float>(); };
  const direct::BatchNorm size = size_of_call(call, layout);
  if (gradient) direct::batch_norm_data(size, first, last, in(0), in(1), in(2), in(3), in(4), out(0), out(1), out(2));
  else direct::batch_norm(size, first, last, in(0), in(1), in(2), false, out(0), out(1), out(2));
}

class PreparedBatchNorm final : public PreparedKernel {
 public:
  PreparedBatchNorm(bool gradient, Layout layout, Index channels) : gradient_(gradient), channels_(channels) {
    inputs = gradient ? std::vector<Layout>{layout, Layout::nchw, Layout::nchw, Layout::nchw, layout} : std::vector<Layout>{layout};
    outputs = {layout};
  }
  Index slices() const override { return std::max<Index>(1, (channels_ + lanes - 1) / lanes); }
  void run(const KernelCall& call) const override {
    run_channels(gradient_, call, call.input(0).layout, call.slice * lanes, std::min(channels_, (call.slice + 1) * lanes));
  }

 private:
  bool gradient_;
  Index channels_;
};

}  // namespace

Kernel direct_batch_norm_kernel(bool gradient) {
  Kernel kernel;
  kernel.backend = "direct";
  kernel.dtypes = {DType::f32};
  kernel.run = [gradient](const KernelCall& call) { run_channels(gradient, call, Layout::nchw, 0, call.input(0).shape[1]); };
  kernel.prepare = [gradient](const PlanQuery& query) -> Preparation {
    const Layout layout = query.layout(0) == Layout::nhwc8 ? Layout::nhwc8 : Layout::nchw;
    return {std::make_unique<PreparedBatchNorm>(gradient, layout, query.shape(0)[1]), {}};
  };
  return kernel;
}

}  // namespace wengert
