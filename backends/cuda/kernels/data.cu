// The data kernels for the device.
#include <wengert/backends/cuda/kernels/data.hpp>

namespace wengert::cuda {

DataFunctions device_data_functions() { return device::data_functions(); }

}  // namespace wengert::cuda
