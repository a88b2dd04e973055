#include <wengert/backends/cuda/runtime/runtime.cuh>

#include <algorithm>
#include <cstdlib>
#include <limits>

#include <fmt/format.h>

#include <wengert/backends/cuda/messages.hpp>
#include <wengert/backends/cuda/module.hpp>
#include <wengert/backends/cuda/runtime/image.cuh>
#include <wengert/engine/error.hpp>

namespace wengert::cuda {
namespace {

// How many devices there are. Throws Error where there is no driver, one that is too old, or no device.
int count_devices(const Caller& caller) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaErrorInsufficientDriver) {
    int driver = 0, runtime = 0;
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    fail(caller.text() + " " + old_driver_text(driver, runtime));
  }
  if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) {
    fail(caller.text() + " " + no_device_text(std::getenv("CUDA_VISIBLE_DEVICES")));
  }
  check(error, caller, "to count the CUDA devices");
  return count;
}

OwnedPool make_pool(const Caller& caller) {
  int supported = 0;
  check(cudaDeviceGetAttribute(&supported, cudaDevAttrMemoryPoolsSupported, caller.device), caller, "to know the device");
  if (supported == 0) fail(caller.text() + " wanted a device with memory pools, its driver does not offer them");
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location.type = cudaMemLocationTypeDevice;
  properties.location.id = caller.device;
  cudaMemPool_t made = nullptr;
  check(cudaMemPoolCreate(&made, &properties), caller, "a memory pool");
  OwnedPool pool(made);
  std::uint64_t kept = std::numeric_limits<std::uint64_t>::max();  // nothing goes back to the driver unless asked
  check(cudaMemPoolSetAttribute(made, cudaMemPoolAttrReleaseThreshold, &kept), caller, "a memory pool that keeps what it has");
  return pool;
}

}  // namespace

Runtime::Runtime(int index) : index_(index) {
  const Caller caller{index};
  const int count = index < 0 ? 0 : count_devices(caller);
  if (index < 0 || index >= count) fail(caller.text() + " " + no_such_device_text(index, count));
  make_current();
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, index), caller, "to know the device");
  name_ = properties.name;
  major_ = properties.major;
  minor_ = properties.minor;
  total_ = static_cast<Index>(properties.totalGlobalMem);
  check(find_image(), caller, ("kernels for " + name_).c_str());
  pool_ = make_pool(caller);
  queue_ = std::make_unique<Stream>(*this, Stream::Role::of_memory);
}

std::string Runtime::describe() const { return fmt::format("{}, compute capability {}.{}, {}", name_, major_, minor_, bytes_text(total_)); }

cudaError_t Runtime::try_make_current() const noexcept {
  int current = -1;
  return cudaGetDevice(&current) == cudaSuccess && current == index_ ? cudaSuccess : cudaSetDevice(index_);
}

void Runtime::make_current() const { check(try_make_current(), Caller{index_}, "to use the device"); }

void* Runtime::allocate(Index bytes) {
  make_current();
  const auto wanted = static_cast<std::size_t>(std::max<Index>(1, bytes));
  check(join_failed_.load(), queue_->caller(), "to know when memory is free");
  if (bytes > total_) call_failed(queue_->caller(), bytes_text(bytes), cudaErrorMemoryAllocation);
  void* memory = nullptr;
  cudaError_t error = cudaMallocFromPoolAsync(&memory, wanted, pool_.get(), queue_->stream_.get());
  if (error == cudaErrorMemoryAllocation) {  // once more, without what was kept for others
    cudaGetLastError();
    check(cudaStreamSynchronize(queue_->stream_.get()), queue_->caller(), "to wait for memory");
    check(cudaMemPoolTrimTo(pool_.get(), 0), queue_->caller(), "to give memory back");
    error = cudaMallocFromPoolAsync(&memory, wanted, pool_.get(), queue_->stream_.get());
  }
  if (error != cudaSuccess) call_failed(queue_->caller(), bytes_text(bytes), error);
  allocations_.fetch_add(1, std::memory_order_release);
  return memory;
}

// What the pool keeps for the next who asks is free, too.
Index Runtime::free_bytes() const {
  make_current();
  std::size_t free = 0, total = 0;
  std::uint64_t reserved = 0, used = 0;
  check(cudaMemGetInfo(&free, &total), Caller{index_}, "how much memory is free");
  check(cudaMemPoolGetAttribute(pool_.get(), cudaMemPoolAttrReservedMemCurrent, &reserved), Caller{index_}, "the pool's size");
  check(cudaMemPoolGetAttribute(pool_.get(), cudaMemPoolAttrUsedMemCurrent, &used), Caller{index_}, "the pool's use");
  return static_cast<Index>(free + reserved - used);
}

void Runtime::release(void* memory) noexcept {
  if (memory == nullptr) return;
  const std::lock_guard lock(mutex_);
  try_make_current();
  for (Stream* const stream : others_) join(*stream);
  cudaFreeAsync(memory, queue_->stream_.get());
  cudaGetLastError();
}

void Runtime::keep(OwnedBlas handle) noexcept {
  if (!handle) return;
  const std::lock_guard lock(mutex_);
  kept_.push_back(std::move(handle));
}

OwnedBlas Runtime::kept_blas() {
  if (kept_.empty()) return nullptr;
  OwnedBlas handle = std::move(kept_.back());
  kept_.pop_back();
  return handle;
}

void* Runtime::allocate_pinned(Index bytes) {
  make_current();
  void* memory = nullptr;
  const cudaError_t error = cudaHostAlloc(&memory, static_cast<std::size_t>(std::max<Index>(1, bytes)), cudaHostAllocPortable);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    fail(fmt::format("{} wanted {} of pinned host memory, got none", Caller{index_}.text(), bytes_text(bytes)));
  }
  check(error, Caller{index_}, "pinned host memory");
  return memory;
}

void Runtime::release_pinned(void* memory) noexcept {
  cudaFreeHost(memory);
  cudaGetLastError();
}

void Runtime::add(Stream& stream) {
  const std::lock_guard lock(mutex_);
  others_.push_back(&stream);
}

void Runtime::remove(Stream& stream) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = std::find(others_.begin(), others_.end(), &stream);
  if (found == others_.end()) return;
  others_.erase(found);
  join(stream);  // what it still has to do may use memory that is released later
}

// queue() waits for the other's work so far. What a stream that is being captured is given is done in a replay, and is joined then.
void Runtime::join(Stream& stream) noexcept {
  if (stream.captured()) return;
  cudaError_t error = cudaEventRecord(stream.fence_.get(), stream.stream_.get());
  if (error == cudaSuccess) error = cudaStreamWaitEvent(queue_->stream_.get(), stream.fence_.get(), 0);
  if (error != cudaSuccess) join_failed_.store(error);
}

bool Runtime::let_use_memory(Stream& stream) {
  const std::lock_guard lock(mutex_);
  if (stream.captured()) return false;
  check(cudaEventRecord(queue_->fence_.get(), queue_->stream_.get()), queue_->caller(), "to record an event");
  check(cudaStreamWaitEvent(stream.stream_.get(), queue_->fence_.get(), 0), stream.caller(), "to wait for memory");
  return true;
}

}  // namespace wengert::cuda

wengert::DeviceRuntime* wengert_cuda_open(int index) { return new wengert::cuda::Runtime(index); }
