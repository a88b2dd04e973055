#include <wengert/backends/cuda/runtime/check.cuh>

#include <fmt/format.h>

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

std::string reason(int device, cudaError_t error) {
  switch (error) {
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:  // what some drivers call it
    case cudaErrorInvalidKernelImage: return no_image_text(device);
    case cudaErrorUnsupportedPtxVersion:
      return no_image_text(device) + "; its driver is too old to compile the newest of them for it: update the driver";
    default: break;
  }
  std::string text = fmt::format("{} ({})", cudaGetErrorString(error), cudaGetErrorName(error));
  if (lasts(error)) {
    text += fmt::format(
        ", of this or earlier work (CUDA_LAUNCH_BLOCKING=1 tells which); nothing more can be done on cuda:{} until it is reopened by a new "
        "process",
        device);
  }
  return text;
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

std::string bytes_text(Index bytes) {
  constexpr double step = 1024;
  if (bytes < Index{1} << 10) return fmt::format("{} bytes", bytes);
  double amount = static_cast<double>(bytes) / step;
  const char* unit = "KiB";
  for (const char* const larger : {"MiB", "GiB", "TiB"}) {
    if (amount < step) break;
    amount /= step;
    unit = larger;
  }
  return fmt::format("{:.1f} {}", amount, unit);
}

std::string memory_text() {
  std::size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) {
    cudaGetLastError();
    return "how much is free is not known";
  }
  return fmt::format("{} of {} are free", bytes_text(static_cast<Index>(free)), bytes_text(static_cast<Index>(total)));
}

std::string version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

std::string no_image_text(int device) {
  int major = 0, minor = 0;
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  return fmt::format("no kernels for compute capability {}.{}: this build has them for {} (WENGERT_CUDA_ARCHITECTURES)", major, minor,
                     WENGERT_CUDA_ARCHITECTURES);
}

}  // namespace wengert::cuda
