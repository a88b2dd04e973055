// The optimiser kernels for the device.
#include <wengert/backends/cuda/kernels/optimiser.hpp>

namespace wengert::cuda {

OptimiserFunctions device_optimiser_functions() { return device::optimiser_functions(); }

}  // namespace wengert::cuda
