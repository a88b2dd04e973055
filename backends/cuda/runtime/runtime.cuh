// A CUDA device: its memory and its queues.
//
// Memory comes from a pool of the driver's, which keeps what is released for the next who asks and never waits for the device. Its calls take
// their turn in the stream of queue(): what is released there is given away behind all work that any queue has by then (join()), and other
// queues wait for the allocation before their next work (let_use_memory()). Both are done on the device; the host waits for nothing.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <wengert/backends/cuda/runtime/stream.cuh>

namespace wengert::cuda {

class Runtime final : public DeviceRuntime {
 public:
  explicit Runtime(int index);
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  Device device() const override { return {Device::Kind::cuda, index_}; }
  std::string describe() const override;
  void* allocate(Index bytes) override;
  Index free_bytes() const override;
  void release(void* memory) noexcept override;
  void* allocate_pinned(Index bytes) override;
  void release_pinned(void* memory) noexcept override;
  std::unique_ptr<DeviceQueue> make_queue() override { return std::make_unique<Stream>(*this, Stream::Role::other); }
  DeviceQueue& queue() override { return *queue_; }

  int index() const { return index_; }
  int major() const { return major_; }
  // The calling thread's device, which CUDA keeps for each thread, becomes this one.
  void make_current() const;
  cudaError_t try_make_current() const noexcept;  // where nothing may be thrown
  std::int64_t allocations() const { return allocations_.load(std::memory_order_acquire); }

  void add(Stream& stream);
  void remove(Stream& stream) noexcept;
  // What this stream is given next is done after all allocations so far. False, and nothing done, while it is being captured.
  bool let_use_memory(Stream& stream);
  // Handles of cuBLAS are used again: to destroy one waits for the device, which no thread may do while another records. Whoever asks for one holds
  // the mutex; null where none is kept.
  void keep(OwnedBlas handle) noexcept;
  OwnedBlas kept_blas();
  // Held while a stream may begin to be captured, so that no event of another thread's is recorded with it.
  std::mutex& mutex() { return mutex_; }

 private:
  void join(Stream& stream) noexcept;

  int index_, major_ = 0, minor_ = 0;
  std::string name_;
  Index total_ = 0;
  OwnedPool pool_;
  std::atomic<std::int64_t> allocations_{0};
  std::atomic<cudaError_t> join_failed_{cudaSuccess};  // then memory may be in use that was given back: no more is handed out
  std::mutex mutex_;
  std::unique_ptr<Stream> queue_;
  std::vector<Stream*> others_;
  std::vector<OwnedBlas> kept_;
};

}  // namespace wengert::cuda
