// What launches of kernels ask of the runtime (thread_device.cuh).
#include <string>

#include <wengert/backends/cuda/runtime/stream.cuh>

namespace wengert::cuda::device {

void launch_failed(const Queue& queue, const char* kernel, int error);
void* stream_of(Queue& queue);

void launch_failed(const Queue& queue, const char* kernel, int error) {
  call_failed(static_cast<const Stream&>(queue).caller(), std::string("to launch the kernel ") + kernel, static_cast<cudaError_t>(error));
}

// Queues that kernels for the device are given are CUDA's: functions() gives these kernels.
void* stream_of(Queue& queue) { return static_cast<Stream&>(queue).for_work(); }

}  // namespace wengert::cuda::device
