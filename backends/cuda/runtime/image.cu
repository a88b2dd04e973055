// A kernel that does nothing, compiled as all others are: whether a device can run it says whether it can run those.
#include <wengert/backends/cuda/runtime/image.cuh>
#include <wengert/backends/cuda/thread.hpp>

namespace wengert::cuda {
namespace {

struct Nothing {
  WENGERT_DEVICE void operator()(device::Thread&) const {}
};

}  // namespace

cudaError_t find_image() {
  cudaFuncAttributes attributes{};
  return cudaFuncGetAttributes(&attributes, device::entry<Nothing>);
}

}  // namespace wengert::cuda
