// Runs kernels on the host, thread by thread, and watches every access. Each host thread has an emulator of its own.
//
// A launch is stopped by a Fault where a kernel does what a device forbids or leaves undefined (FaultKind says what). Not seen: memory that is
// reached past Global and Shared, and conflicts between an element of one byte and a wider one that covers it.
#pragma once

#include <cstdint>

#include <wengert/backends/cuda/emulator/block.hpp>
#include <wengert/backends/cuda/emulator/memory.hpp>
#include <wengert/backends/cuda/emulator/order.hpp>

namespace wengert::cuda::emulated {

// Throws a Fault where no device takes such a launch: 1 to 2^31 - 1 blocks of 1 to most_threads threads with up to most_shared_bytes.
void check_grid(const Launch& launch);

// All blocks in the order of the schedule, each of all its threads. With known memory, global accesses must lie in what that has given out.
void run(const Launch& launch, Schedule& schedule, const Memory* known);

}  // namespace wengert::cuda::emulated
