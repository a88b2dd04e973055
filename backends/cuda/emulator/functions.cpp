// All kernels as the host's compiler sees them.
#include <wengert/backends/cuda/functions.hpp>
#include <wengert/backends/cuda/kernels/batch_norm.hpp>
#include <wengert/backends/cuda/kernels/conv_functions.hpp>
#include <wengert/backends/cuda/kernels/copy.hpp>
#include <wengert/backends/cuda/kernels/data.hpp>
#include <wengert/backends/cuda/kernels/dropout.hpp>
#include <wengert/backends/cuda/kernels/elementwise.hpp>
#include <wengert/backends/cuda/kernels/guard.hpp>
#include <wengert/backends/cuda/kernels/index.hpp>
#include <wengert/backends/cuda/kernels/matmul.hpp>
#include <wengert/backends/cuda/kernels/metrics.hpp>
#include <wengert/backends/cuda/kernels/optimiser.hpp>
#include <wengert/backends/cuda/kernels/pool.hpp>
#include <wengert/backends/cuda/kernels/reduce.hpp>
#include <wengert/backends/cuda/kernels/softmax.hpp>

namespace wengert::cuda {

const Functions& emulated_functions() {
  using namespace emulated;
  static const Functions functions{
      .batch_norm = batch_norm_functions(),
      .conv = conv_functions(),
      .copy = copy_functions(),
      .data = data_functions(),
      .dropout = dropout_functions(),
      .elementwise = elementwise_functions(),
      .guard = guard_functions(),
      .index = index_functions(),
      .matmul = matmul_functions(),
      .metrics = metrics_functions(),
      .optimiser = optimiser_functions(),
      .pool = pool_functions(),
      .reduce = reduce_functions(),
      .softmax = softmax_functions(),
  };
  return functions;
}

}  // namespace wengert::cuda
