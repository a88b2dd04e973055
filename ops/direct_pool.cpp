// The direct kernels of pooling: any of the two dense layouts, the same for input and output.
#include <wengert/ops/direct_kernels.hpp>
#include <wengert/ops/pool_options.hpp>

namespace wengert {

namespace {

class PreparedPool final : public PreparedKernel {
 public:
  PreparedPool(DirectPool function, Layout layout, std::size_t count) : run_(function) {
    inputs = {layout};
    outputs.assign(count, layout);
  }
  void run(const KernelCall& call) const override { run_(call, call.input(0).layout); }

 private:
  DirectPool run_;
};

const PoolGeometry& geometry(const KernelCall& call) { return call.attributes.as<PoolAttributes>().geometry; }

}  // namespace

void direct_max_pool(const KernelCall& call, Layout layout) {
  const View& x = call.input(0);
  direct::max_pool(layout, geometry(call), x.shape[0], x.read<float>(), false, call.output(0).write<float>(),
                   call.output(1).write<std::int32_t>());
}

void direct_average_pool(const KernelCall& call, Layout layout) {
  const View& x = call.input(0);
  direct::average_pool(layout, geometry(call), x.shape[0], x.read<float>(), call.output(0).write<float>());
}

void direct_average_pool_data(const KernelCall& call, Layout layout) {
  const View& y = call.input(0);
  direct::average_pool_data(layout, geometry(call), y.shape[0], y.read<float>(), call.output(0).write<float>());
}

Kernel direct_pool_kernel(DirectPool run, std::size_t outputs) {
  Kernel kernel;
  kernel.backend = "direct";
  kernel.dtypes = {DType::f32};
  kernel.run = [run](const KernelCall& call) { run(call, Layout::nchw); };
  kernel.prepare = [run, outputs](const PlanQuery& query) -> Preparation {
    const Layout layout = query.layout(0) == Layout::nhwc8 ? Layout::nhwc8 : Layout::nchw;
    return {std::make_unique<PreparedPool>(run, layout, outputs), {}};
  };
  return kernel;
}

}  // namespace wengert
