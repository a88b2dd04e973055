#include <wengert/ops/cuda/kernels.hpp>

#include <wengert/engine/device.hpp>

namespace wengert {

const cuda::Functions& cuda::functions_of(const OpQuery& query) {
  return static_cast<Queue&>(device_runtime(query.device)->queue()).functions();
}

Kernel cuda::kernel(std::function<void(const KernelCall&)> run, const char* backend) {
  Kernel made;
  made.backend = backend;
  made.device = Device::Kind::cuda;
  made.dtypes = {DType::f32};
  made.run = std::move(run);
  return made;
}

Kernel cuda::any_kernel(std::function<void(const KernelCall&)> run) {
  Kernel made = kernel(std::move(run));
  made.dtypes = {DType::f32, DType::i32, DType::u8};
  return made;
}

void add_cuda_kernels(Catalogue& catalogue) {
  for (const auto family : {add_cuda_conv, add_cuda_elementwise, add_cuda_shape, add_cuda_reduce, add_cuda_pool, add_cuda_softmax,
                            add_cuda_layers, add_cuda_index, add_cuda_optimiser, add_cuda_data, add_cuda_matmul})
    family(catalogue);
}

}  // namespace wengert
