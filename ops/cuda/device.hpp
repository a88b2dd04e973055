// Opens CUDA devices for the built-in ops.
#pragma once

#include <wengert/engine/types.hpp>

namespace wengert {

// The CUDA device of that number: from then on tensors can live there, and the built-in ops compute there. Throws Error, one line, as
// open_cuda_device() (backends/cuda/open.hpp) does.
Device cuda_device(int index = 0);

// That, for a device that is open already.
void use_builtin_ops_on_devices();

}  // namespace wengert
