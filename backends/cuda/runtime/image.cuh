// Whether a device can run the kernels of this build.
#pragma once

#include <cuda_runtime_api.h>

namespace wengert::cuda {

// Asks for the current device: cudaSuccess, cudaErrorNoKernelImageForDevice, or what else stands against it.
cudaError_t find_image();

}  // namespace wengert::cuda
