// The tiled convolution with a max pool for the device.
#include <wengert/backends/cuda/kernels/conv_pool.hpp>

namespace wengert::cuda {

void add_device_conv_pool(ConvFunctions& functions) { device::add_conv_pool(functions); }

}  // namespace wengert::cuda
