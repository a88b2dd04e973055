// Looking for values that are not finite.
#pragma once

#include <vector>

#include <wengert/backends/cuda/queue.hpp>

namespace wengert::cuda {

struct WatchFunctions {
  // DeviceQueue::watch().
  void (*not_finite)(Queue& queue, const std::vector<Watched>& values, std::int32_t* flag);
};

WatchFunctions device_watch_functions();

}  // namespace wengert::cuda
