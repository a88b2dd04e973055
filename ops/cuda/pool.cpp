// Pooling, on backends/cuda/pool.hpp.
#include <wengert/backends/cuda/pool.hpp>
#include <wengert/ops/cuda/kernels.hpp>
#include <wengert/ops/pool_options.hpp>

namespace wengert {

namespace {

using namespace cuda;

const PoolGeometry& geometry_of(const KernelCall& call) { return call.attributes.as<PoolAttributes>().geometry; }
Index planes_of(const View& view) { return view.shape.elements(0, 2); }

Kernel max_pool() {
  return kernel([](const KernelCall& call) {
    functions_of(call).pool.max_pool2d(queue_of(call), geometry_of(call), planes_of(call.input(0)), in(call, 0), out(call, 0),
                                       call.output(1).write<std::int32_t>());
  });
}

Kernel winners() {
  return kernel([](const KernelCall& call) {
    functions_of(call).pool.winners(queue_of(call), geometry_of(call), planes_of(call.input(0)), in(call, 0),
                                    call.input(1).read<std::int32_t>(), in(call, 2), out(call, 0));
  });
}

Kernel average_pool() {
  return kernel([](const KernelCall& call) {
    functions_of(call).pool.average_pool2d(queue_of(call), geometry_of(call), planes_of(call.input(0)), in(call, 0), out(call, 0));
  });
}

Kernel average_pool_data() {
  return kernel([](const KernelCall& call) {
    functions_of(call).pool.average_pool2d_data(queue_of(call), geometry_of(call), planes_of(call.input(0)), in(call, 0), out(call, 0));
  });
}

}  // namespace

void add_cuda_pool(Catalogue& catalogue) {
  catalogue.add_kernel("max_pool2d", max_pool());
  catalogue.add_kernel("winners", winners());
  catalogue.add_kernel("average_pool2d", average_pool());
  catalogue.add_kernel("average_pool2d_data", average_pool_data());
}

}  // namespace wengert
