// The copy kernels for the device.
#include <wengert/backends/cuda/kernels/copy.hpp>

namespace wengert::cuda {

CopyFunctions device_copy_functions() { return device::copy_functions(); }

}  // namespace wengert::cuda
