// Opens NVIDIA GPUs.
#pragma once

#include <wengert/engine/device.hpp>

namespace wengert {

// The CUDA device of that number, opened where it is not yet open: from then on tensors can live there. Throws Error, one line, where that can't
// be: a build without CUDA, libraries of CUDA that are missing, no driver or one that is too old, no such device, or one that the kernels were
// not built for.
Device open_cuda_device(int index = 0);

}  // namespace wengert
