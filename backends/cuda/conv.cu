// The convolution kernels for the device.
#include <wengert/backends/cuda/kernels/conv_functions.hpp>

namespace wengert::cuda {

ConvFunctions device_conv_functions() { return device::conv_functions(); }

}  // namespace wengert::cuda
