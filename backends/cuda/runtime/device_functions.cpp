// The kernels that nvcc compiled, as one table.
#include <wengert/backends/cuda/functions.hpp>

namespace wengert::cuda {

const Functions& device_functions() {
  static const Functions functions{
      .batch_norm = device_batch_norm_functions(),
      .conv = device_conv_functions(),
      .copy = device_copy_functions(),
      .data = device_data_functions(),
      .dropout = device_dropout_functions(),
      .elementwise = device_elementwise_functions(),
      .guard = device_guard_functions(),
      .index = device_index_functions(),
      .matmul = device_matmul_functions(),
      .metrics = device_metrics_functions(),
      .optimiser = device_optimiser_functions(),
      .pool = device_pool_functions(),
      .reduce = device_reduce_functions(),
      .softmax = device_softmax_functions(),
  };
  return functions;
}

}  // namespace wengert::cuda
