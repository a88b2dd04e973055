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
#define WENGERT_CUDA_SIDE emulated
#define WENGERT_DEVICE inline
#define WENGERT_BOTH inline
// The last parameters of whatever the emulator reports about: the line of the kernel. (clang++ 14 has no std::source_location.)
#define WENGERT_WHERE_ONLY const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define WENGERT_WHERE , WENGERT_WHERE_ONLY
#endif
