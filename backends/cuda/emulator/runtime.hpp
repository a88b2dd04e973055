// A device that is emulated on the host, for tests: memory, queues, events, capture and replay as CUDA has them, kernels by the emulator.
//
// Queues are lazy: what they are given is done only when somebody waits, in the order of each queue and as events allow among queues, so that a
// missing wait shows as a wrong result (timeline.hpp). Faults and other errors of that work are thrown by the call that waits; what was left in
// the queues is then dropped, and the device goes on. As with CUDA, waiting and allocating during a capture are errors that break it; queue() is not
// captured. Memory that is released is gone when all that queues had been given by then is done.
//
//   open_device(emulated_runtime({.order = Order::shuffled, .seed = 7}));
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include <wengert/backends/cuda/emulator/order.hpp>
#include <wengert/backends/cuda/queue.hpp>

namespace wengert::cuda {

using emulated::Order;

struct EmulatorOptions {
  int index = 0;                  // of the device
  Index memory = Index{1} << 30;  // bytes of the device
  Order order = Order::forward;   // of blocks, threads, queues and the nodes of a replayed recording
  std::uint64_t seed = 1;         // of Order::shuffled
  bool eager = false;             // everything is done by the call that asks for it
  bool known_memory = true;       // false: kernels, copies and products may use any memory of the host
  bool idle = false;              // kernels are counted and not run
  bool hidden = false;            // the host can't touch the device's memory: who tries is stopped by the system (SIGSEGV)
};

std::shared_ptr<DeviceRuntime> emulated_runtime(const EmulatorOptions& options = {});

// What an emulated device was asked to do so far.
struct EmulatorCounts {
  Index allocations = 0, pinned_allocations = 0;  // that succeeded
  Index bytes = 0, most_bytes = 0;                // on the device: now, and at the worst
  Index launches = 0, copies = 0, fills = 0, uploads = 0, downloads = 0, products = 0, waits = 0, replays = 0;  // calls
  std::map<std::string, Index> kernels;  // how often each ran to its end, in replays too
  std::map<std::string, Grid> most;      // the largest block asked for of each type of kernel, as type_info names it
};

// These three throw Error where the runtime is not an emulated one.
EmulatorCounts emulator_counts(const DeviceRuntime& runtime);
void fail_allocation(DeviceRuntime& runtime, Index calls);         // the so many-th from now on is out of memory, 1: the next; 0: none
void fail_pinned_allocation(DeviceRuntime& runtime, Index calls);  // the same of allocate_pinned()

}  // namespace wengert::cuda
