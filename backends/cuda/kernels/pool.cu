// The pool kernels for the device.
#include <wengert/backends/cuda/kernels/pool.hpp>

namespace wengert::cuda {

PoolFunctions device_pool_functions() { return device::pool_functions(); }

}  // namespace wengert::cuda
