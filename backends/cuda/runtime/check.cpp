#include <wengert/backends/cuda/runtime/check.cuh>

#include <fmt/format.h>

#include <wengert/backends/cuda/messages.hpp>
#include <wengert/engine/device.hpp>

namespace wengert::cuda {
namespace {

// Errors after which CUDA refuses everything else in this process: cudaErrorIllegalAddress and its like in the CUDA Runtime API's "Data types
// used by CUDA Runtime" say that "the process must be terminated and relaunched".
bool lasts(cudaError_t error) {
  switch (error) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable: return true;
    default: return false;
  }
}

std::string no_image(int device, bool driver_is_old) {
  int major = 0, minor = 0;
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  return no_image_text(major, minor, WENGERT_CUDA_ARCHITECTURES, driver_is_old);
}

std::string reason(int device, cudaError_t error) {
  switch (error) {
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:  // what some drivers call it
    case cudaErrorInvalidKernelImage: return no_image(device, false);
    case cudaErrorUnsupportedPtxVersion: return no_image(device, true);
    default: break;
  }
  return fmt::format("{} ({}){}", cudaGetErrorString(error), cudaGetErrorName(error), lasts(error) ? lasting_text(device) : "");
}

// Of the current device.
std::string memory_text() {
  std::size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) {
    cudaGetLastError();
    return "how much is free is not known";
  }
  return free_text(static_cast<Index>(free), static_cast<Index>(total));
}

}  // namespace

std::string Caller::text() const { return node != nullptr && *node != '\0' ? node : fmt::format("[cuda:{}]", device); }

void call_failed(const Caller& caller, const std::string& wanted, cudaError_t error) {
  cudaGetLastError();
  if (error == cudaErrorMemoryAllocation) {
    throw OutOfDeviceMemory(fmt::format("{} out of memory: wanted {}, {}", caller.text(), wanted, memory_text()));
  }
  fail(fmt::format("{} wanted {}, got: {}", caller.text(), wanted, reason(caller.device, error)));
}

void call_failed(const Caller& caller, const std::string& wanted, cublasStatus_t status) {
  if (status == CUBLAS_STATUS_ALLOC_FAILED) call_failed(caller, wanted, cudaErrorMemoryAllocation);
  fail(fmt::format("{} wanted {}, got from cuBLAS: {} ({})", caller.text(), wanted, cublasGetStatusString(status),
                   cublasGetStatusName(status)));
}

}  // namespace wengert::cuda
