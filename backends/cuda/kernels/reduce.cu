// The reduce kernels for the device.
#include <wengert/backends/cuda/kernels/reduce.hpp>

namespace wengert::cuda {

ReduceFunctions device_reduce_functions() { return device::reduce_functions(); }

}  // namespace wengert::cuda
