// The tiled weight gradient for the device.
#include <wengert/backends/cuda/kernels/conv_weight.hpp>

namespace wengert::cuda {

void add_device_conv_weight(ConvFunctions& functions) { device::add_conv_weight(functions); }

}  // namespace wengert::cuda
