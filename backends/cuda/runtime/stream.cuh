// A queue on a CUDA stream, with a cuBLAS handle of its own.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include <wengert/backends/cuda/queue.hpp>
#include <wengert/backends/cuda/runtime/check.cuh>
#include <wengert/backends/cuda/runtime/handles.cuh>

namespace wengert::cuda {

class Runtime;

class Stream final : public Queue {
 public:
  // The runtime's own queue(), in whose order memory is given and taken back, or one more.
  enum class Role { of_memory, other };
  Stream(Runtime& runtime, Role role);
  ~Stream() override;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void copy(void* to, const void* from, Index bytes) override;
  void fill(void* to, std::uint8_t value, Index bytes) override;
  // Throws Error while captured: a replay would read the host's memory again.
  void upload(void* to, const void* from, Index bytes) override;
  void upload_pinned(void* to, const void* from, Index bytes) override;
  void download(void* to, const void* from, Index bytes) override;

  void wait() override;
  std::int64_t work() const override { return work_.load(std::memory_order_relaxed); }
  std::unique_ptr<DeviceEvent> record() override { return record(cudaEventDisableTiming); }
  void record_again(DeviceEvent& event) override;
  std::unique_ptr<DeviceEvent> record_time() override { return record(cudaEventDefault); }
  void wait_for(const DeviceEvent& event) override;

  void begin_capture() override;
  std::unique_ptr<DeviceRecording> end_capture() override;
  void replay(const DeviceRecording& recording) override;

  const Functions& functions() const override;
  // The same bits for the same operands: a handle has one stream and one workspace (cuBLAS Library, "Results Reproducibility").
  void gemm(const Product& product, float alpha, const float* a, const float* b, float beta, float* c) override;

  // The CUDA stream, for the calling thread, and for a thread that gives it work.
  cudaStream_t ready();
  cudaStream_t for_work();
  Caller caller() const;
  // What cuDNN keeps for this stream, made when it is asked for first.
  std::shared_ptr<void> cudnn(const std::function<std::shared_ptr<void>()>& make);

 private:
  friend class Runtime;
  std::unique_ptr<DeviceEvent> record(unsigned flags);
  bool captured() const;
  void refuse_captured(const char* wanted) const;
  cublasHandle_t blas();

  Runtime& runtime_;
  Role role_;
  OwnedStream stream_;
  OwnedEvent fence_;              // for joins; whoever uses it holds the runtime's mutex
  std::int64_t allocations_ = 0;  // those that this stream waits for
  std::atomic<std::int64_t> work_{0};
  OwnedBlas blas_;
  void* blas_workspace_ = nullptr;
  std::shared_ptr<void> cudnn_;
};

}  // namespace wengert::cuda
