// A kernel's body is written once and compiled twice: by nvcc for the device, and by the host's compiler for an emulator that checks every
// access (emulator/). All that is compiled twice lies in the namespace wengert::cuda::WENGERT_CUDA_SIDE, `device` or `emulated`, so that both
// fit in one program.
#pragma once

#if defined(__CUDACC__)
#define WENGERT_CUDA_SIDE device
#define WENGERT_DEVICE __device__ __forceinline__
#define WENGERT_BOTH __host__ __device__ __forceinline__
#define WENGERT_WHERE_ONLY
#define WENGERT_WHERE
#else
#include <source_location>
#define WENGERT_CUDA_SIDE emulated
#define WENGERT_DEVICE inline
#define WENGERT_BOTH inline
// The last parameter of whatever the emulator reports about: the line of the kernel.
#define WENGERT_WHERE_ONLY std::source_location where = std::source_location::current()
#define WENGERT_WHERE , WENGERT_WHERE_ONLY
#endif
