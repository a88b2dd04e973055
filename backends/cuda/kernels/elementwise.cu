// The elementwise kernels for the device.
#include <wengert/backends/cuda/kernels/elementwise.hpp>

namespace wengert::cuda {

ElementwiseFunctions device_elementwise_functions() { return device::elementwise_functions(); }

}  // namespace wengert::cuda
