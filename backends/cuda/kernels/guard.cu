// The guard kernels for the device.
#include <wengert/backends/cuda/kernels/guard.hpp>

namespace wengert::cuda {

GuardFunctions device_guard_functions() { return device::guard_functions(); }

}  // namespace wengert::cuda
