// What libwengert_cuda.so offers to libwengert.so, which loads it when a device is asked for: so that nothing else needs CUDA's libraries.
#pragma once

#include <wengert/engine/device.hpp>

// A new runtime of the CUDA device of that number; the caller owns it. Throws wengert::Error.
extern "C" wengert::DeviceRuntime* wengert_cuda_open(int index);
