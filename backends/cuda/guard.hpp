// The watch over values that are not finite, on a CUDA device, and what heeds it: no step waits for its outcome.
#pragma once

#include <span>

#include <wengert/backends/cuda/queue.hpp>

namespace wengert::cuda {

struct GuardFunctions {
  // DeviceQueue::watch(): *flag = the least step of the values that are not all finite with their squares, if it is less than *flag.
  void (*not_finite)(Queue& queue, std::span<const Watched> values, std::int32_t* flag);
  // DeviceQueue::copy_unless_stopped(), with the queue's flag.
  void (*copy_unless_stopped)(Queue& queue, Index bytes, const void* from, void* to);
};

GuardFunctions device_guard_functions();

}  // namespace wengert::cuda
