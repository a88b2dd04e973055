// The dropout kernels for the device.
#include <wengert/backends/cuda/kernels/dropout.hpp>

namespace wengert::cuda {

DropoutFunctions device_dropout_functions() { return device::dropout_functions(); }

}  // namespace wengert::cuda
