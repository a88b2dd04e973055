// Every call of CUDA and cuBLAS is checked; what went wrong becomes one line of an Error.
#pragma once

#include <string>

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include <wengert/engine/types.hpp>

namespace wengert::cuda {

// On whose behalf a call is made.
struct Caller {
  int device = 0;
  const char* node = "";  // DeviceQueue::node, or empty

  std::string text() const;  // "[conv2d 'conv1' main.cpp:14]", else "[cuda:0]"
};

// Throw Error "WHO wanted WHAT, got: REASON", or OutOfDeviceMemory. An error of CUDA's that does not last is cleared, so that no later call is blamed for it.
[[noreturn]] void call_failed(const Caller& caller, const std::string& wanted, cudaError_t error);
[[noreturn]] void call_failed(const Caller& caller, const std::string& wanted, cublasStatus_t status);

template <class Status>
void check(Status status, const Caller& caller, const char* wanted) {
  if (status != Status{}) call_failed(caller, wanted, status);  // zero is success in both libraries
}

}  // namespace wengert::cuda
