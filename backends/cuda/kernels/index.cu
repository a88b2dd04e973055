// The index kernels for the device.
#include <wengert/backends/cuda/kernels/index.hpp>

namespace wengert::cuda {

IndexFunctions device_index_functions() { return device::index_functions(); }

}  // namespace wengert::cuda
