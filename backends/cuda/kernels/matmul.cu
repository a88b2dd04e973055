// Matrix products and linear layers for the device.
#include <wengert/backends/cuda/kernels/matmul.hpp>

namespace wengert::cuda {

MatmulFunctions device_matmul_functions() { return device::matmul_functions(); }

}  // namespace wengert::cuda
