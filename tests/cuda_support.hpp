// For tests of what runs on an emulated CUDA device: memory with values in it, and the orders that a device may take.
#pragma once

#include <cstddef>
#include <memory>
#include <numeric>
#include <vector>

#include <wengert/backends/cuda/emulator/runtime.hpp>
#include <wengert/backends/cuda/queue.hpp>

namespace wengert::test {

// A device with memory that holds what a test puts there, until its end.
class EmulatedDevice {
 public:
  explicit EmulatedDevice(const cuda::EmulatorOptions& options = {}) : runtime_(cuda::emulated_runtime(options)) {}

  DeviceRuntime& runtime() { return *runtime_; }
  cuda::Queue& queue() { return static_cast<cuda::Queue&>(runtime_->queue()); }

  template <class T>
  T* allocate(Index count) {
    return static_cast<T*>(runtime_->allocate(count * static_cast<Index>(sizeof(T))));
  }
  template <class T>
  T* put(const std::vector<T>& values) {
    T* const memory = allocate<T>(static_cast<Index>(values.size()));
    queue().upload(memory, values.data(), static_cast<Index>(values.size() * sizeof(T)));
    return memory;
  }
  // Waits for the queue.
  template <class T>
  std::vector<T> get(const T* memory, Index count) {
    std::vector<T> values(static_cast<std::size_t>(count));
    queue().download(values.data(), memory, count * static_cast<Index>(sizeof(T)));
    return values;
  }

 private:
  std::shared_ptr<DeviceRuntime> runtime_;
};

inline std::vector<cuda::EmulatorOptions> emulated_orders() {
  using cuda::Order;
  std::vector<cuda::EmulatorOptions> all{{.order = Order::forward}, {.order = Order::reverse}};
  for (std::uint64_t seed = 1; seed <= 5; ++seed) all.push_back({.order = Order::shuffled, .seed = seed});
  return all;
}

// 1, 2, 3, ...
inline std::vector<float> counted(Index count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), 1.0f);
  return values;
}

}  // namespace wengert::test
