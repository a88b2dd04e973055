// The batch norm kernels for the device.
#include <wengert/backends/cuda/kernels/batch_norm.hpp>

namespace wengert::cuda {

BatchNormFunctions device_batch_norm_functions() { return device::batch_norm_functions(); }

}  // namespace wengert::cuda
