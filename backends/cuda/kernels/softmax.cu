// The softmax kernels for the device.
#include <wengert/backends/cuda/kernels/softmax.hpp>

namespace wengert::cuda {

SoftmaxFunctions device_softmax_functions() { return device::softmax_functions(); }

}  // namespace wengert::cuda
