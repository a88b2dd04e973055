// The table of the convolution kernels for the device (the emulator's: conv_functions.hpp), and the short ones among them.
#include <wengert/backends/cuda/kernels/conv_im2col.hpp>
#include <wengert/backends/cuda/kernels/conv_plain.hpp>

namespace wengert::cuda {

ConvFunctions device_conv_functions() {
  ConvFunctions functions;
  device::add_conv_plain(functions);
  device::add_conv_im2col(functions);
  add_device_conv_tiled(functions);
  add_device_conv_pool(functions);
  add_device_conv_weight(functions);
  add_device_conv_cudnn(functions);
  return functions;
}

}  // namespace wengert::cuda
