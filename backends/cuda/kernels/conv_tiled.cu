// The tiled convolution, forward and data, for the device.
#include <wengert/backends/cuda/kernels/conv_tiled.hpp>

namespace wengert::cuda {

void add_device_conv_tiled(ConvFunctions& functions) { device::add_conv_tiled(functions); }

}  // namespace wengert::cuda
