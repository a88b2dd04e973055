// The CUDA emulator: broken kernels are caught, with kernel, block, thread, line and kind of fault.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <wengert/backends/cuda/emulator/fault.hpp>
#include <wengert/backends/cuda/thread.hpp>

#include "cuda_support.hpp"
#include "ops_support.hpp"

namespace wengert::cuda::WENGERT_CUDA_SIDE {
namespace {

using test::contains;
using test::counted;
using test::emulated_orders;
using test::EmulatedDevice;

// Each kernel notes the line of its fault, in a statement of the same line.

int faulty_line = 0;

struct BarrierRemoved {
  Global<float> y;
  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Shared<float> part = thread.shared<float>(0, thread.size());
    part.store(thread.index(), 1.0f);
    faulty_line = __LINE__, y.store(thread.global(), part.load(thread.size() - 1 - thread.index()));
  }
};

// The tile is loaded anew while slower threads still read the old one.
struct SecondBarrierRemoved {
  Global<const float> x;
  Global<float> y;
  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Shared<float> tile = thread.shared<float>(0, thread.size());
    float sum = 0;
    for (int k = 0; k < 2; ++k) {
      tile.store(thread.index(), x.load(k * thread.size() + thread.index()));
      thread.barrier();
      for (int i = 0; i < thread.size(); ++i) faulty_line = __LINE__, sum += tile.load(i);
    }
    y.store(thread.global(), sum);
  }
};

struct OffByOne {
  Global<float> y;
  WENGERT_DEVICE void operator()(Thread& thread) const { faulty_line = __LINE__, y.store(thread.global() + 1, 0.0f); }
};

struct NoBoundsCheck {
  Global<const float> x;
  Global<float> y;
  WENGERT_DEVICE void operator()(Thread& thread) const { faulty_line = __LINE__, y.store(thread.global(), x.load(thread.global())); }
};

struct Uninitialised {
  Global<float> y;
  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Shared<float> part = thread.shared<float>(0, 64);
    part.store(thread.index(), 1.0f);
    thread.barrier();
    faulty_line = __LINE__, y.store(thread.global(), part.load(thread.index() + 1));
  }
};

struct PartTooSmall {
  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Shared<float> part = thread.shared<float>(0, 16);
    faulty_line = __LINE__, part.store(thread.index(), 1.0f);
  }
};

struct BytesTooFew {
  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Shared<float> part = thread.shared<float>(64, 32);
    faulty_line = __LINE__, part.store(thread.index(), 1.0f);
  }
};

struct BarrierOfSome {
  WENGERT_DEVICE void operator()(Thread& thread) const {
    if (thread.index() < 16) faulty_line = __LINE__, thread.barrier();
  }
};

struct TwoBarriers {
  WENGERT_DEVICE void operator()(Thread& thread) const {
    if (thread.warp() == 0) {
      faulty_line = __LINE__, thread.barrier();
    } else {
      thread.barrier();
    }
  }
};

struct BlocksToOneAddress {
  Global<float> y;
  WENGERT_DEVICE void operator()(Thread& thread) const {
    if (thread.index() == 5) faulty_line = __LINE__, y.store(0, 1.0f);
  }
};

struct ShiftInPlace {
  Global<float> x;
  WENGERT_DEVICE void operator()(Thread& thread) const {
    if (thread.global() + 1 >= thread.total()) return;
    const float next = x.load(thread.global() + 1);
    faulty_line = __LINE__, x.store(thread.global(), next);
  }
};

struct ReadsAtomic {
  Global<std::int32_t> flag;
  Global<std::int32_t> y;
  WENGERT_DEVICE void operator()(Thread& thread) const {
    if (thread.index() == 0) flag.atomic_min(0, static_cast<std::int32_t>(thread.block()));
    if (thread.index() == 1) faulty_line = __LINE__, y.store(thread.block(), flag.load(0));
  }
};

// Block 2 alone writes what all have read.
struct ReadByAll {
  Global<float> x;
  WENGERT_DEVICE void operator()(Thread& thread) const {
    const float value = x.load(0);
    if (thread.block() == 2) faulty_line = __LINE__, x.store(0, value + 1);
  }
};

// Cleared by one block, while others may already have counted.
struct ClearedByOne {
  Global<std::int32_t> least;
  WENGERT_DEVICE void operator()(Thread& thread) const {
    if (thread.block() == 0) least.store(0, 100);
    faulty_line = __LINE__, least.atomic_min(0, static_cast<std::int32_t>(thread.block()));
  }
};

// Bytes that two threads share.
struct OneByte {
  Global<std::uint8_t> y;
  WENGERT_DEVICE void operator()(Thread& thread) const { faulty_line = __LINE__, y.store(thread.index() / 2, 1); }
};

struct ShuffleOfSome {
  Global<float> y;
  WENGERT_DEVICE void operator()(Thread& thread) const {
    if (thread.lane() < 16) faulty_line = __LINE__, y.store(thread.global(), thread.shuffle_xor(1.0f, 1));
  }
};

struct ShuffleOfAll {
  WENGERT_DEVICE void operator()(Thread& thread) const { faulty_line = __LINE__, thread.shuffle_xor(1.0f, 1); }
};

struct FourOff {
  Global<const float> x;
  WENGERT_DEVICE void operator()(Thread& thread) const { faulty_line = __LINE__, x.load_four(4 * thread.global() + 2); }
};

// What a kernel must not do: memory past the accessors. The emulator can't see it, but the bits differ between orders, as they do with
// floating-point atomics.
struct SumAsItComes {
  float* sum;
  Global<const float> x;
  WENGERT_DEVICE void operator()(Thread& thread) const { *sum += x.load(thread.global()); }
};

struct Copy {
  Global<const float> x;
  Global<float> y;
  WENGERT_DEVICE void operator()(Thread& thread) const { y.store(thread.global(), x.load(thread.global())); }
};

// The Fault of a kernel in this order of blocks and threads, and that the device works on after it.
template <class Make>
std::optional<Fault> fault_in(const EmulatorOptions& options, const Grid& grid, const Make& make) {
  EmulatedDevice device(options);
  std::optional<Fault> found;
  launch(device.queue(), "broken", grid, make(device));
  try {
    device.queue().wait();
  } catch (const Fault& fault) {
    found = fault;
  }
  float *const x = device.put(counted(4)), *const y = device.allocate<float>(4);
  launch(device.queue(), "copy", {2, 2, 0}, Copy{{x, 4}, {y, 4}});
  CHECK(device.get(y, 4) == counted(4));
  return found;
}

struct Wanted {
  FaultKind kind;
  Index block;
  int thread;  // in forward order
  const char* text;
  std::set<FaultKind> also = {};  // in other orders
};

template <class Make>
void check_broken(const Grid& grid, const Wanted& wanted, const Make& make) {
  for (const EmulatorOptions& options : emulated_orders()) {
    CAPTURE(static_cast<int>(options.order));
    CAPTURE(options.seed);
    const std::optional<Fault> fault = fault_in(options, grid, make);
    REQUIRE(fault);
    const std::string message = fault->what();
    CAPTURE(message);
    CHECK((fault->kind() == wanted.kind || wanted.also.contains(fault->kind())));
    CHECK(
        contains(message, "[broken] block " + std::to_string(fault->place().block) + ", thread " + std::to_string(fault->place().thread)));
    CHECK(contains(message, "cuda_emulator_faults_test.cpp:" + std::to_string(fault->place().line) + ": " + name(fault->kind())));
    if (options.order != Order::forward) continue;
    CHECK(fault->place().block == wanted.block);
    CHECK(fault->place().thread == wanted.thread);
    CHECK(fault->place().line == faulty_line);
    CHECK(contains(message, wanted.text));
  }
}

TEST_CASE("a removed barrier") {
  check_broken({2, 32, 128}, {FaultKind::uninitialised, 0, 0, "a read of element 31, which was not written", {FaultKind::race}},
               [](EmulatedDevice& device) {
                 return BarrierRemoved{{device.allocate<float>(64), 64}};
               });
  check_broken({1, 32, 128}, {FaultKind::race, 0, 1, "a read of element 0, which thread 0 of the same block wrote at line "},
               [](EmulatedDevice& device) {
                 return SecondBarrierRemoved{{device.put(counted(64)), 64}, {device.allocate<float>(32), 32}};
               });
}

TEST_CASE("a wrong index") {
  check_broken({2, 32, 0}, {FaultKind::bounds, 1, 31, "a write of element 64, there are 64", {FaultKind::race}},
               [](EmulatedDevice& device) {
                 return OffByOne{{device.allocate<float>(64), 64}};
               });
  check_broken({2, 32, 0}, {FaultKind::bounds, 1, 28, "a read of element 60, there are 60"}, [](EmulatedDevice& device) {
    return NoBoundsCheck{{device.put(counted(60)), 60}, {device.allocate<float>(60), 60}};
  });
  check_broken({1, 1, 0}, {FaultKind::alignment, 0, 0, "a read of elements 2 to 5, wanted an address that is a multiple of 16"},
               [](EmulatedDevice& device) {
                 return FourOff{{device.put(counted(60)), 60}};
               });
}

TEST_CASE("memory that is not the device's") {
  check_broken({2, 32, 0}, {FaultKind::memory, 1, 28, "element 60, which was never allocated"}, [](EmulatedDevice& device) {
    return NoBoundsCheck{{device.put(counted(60)), 64}, {device.allocate<float>(64), 64}};
  });
  std::vector<float> of_the_host(4);
  check_broken({1, 4, 0}, {FaultKind::memory, 0, 0, "element 0, which was never allocated"}, [&](EmulatedDevice& device) {
    return NoBoundsCheck{{of_the_host.data(), 4}, {device.allocate<float>(4), 4}};
  });
  check_broken({1, 4, 0}, {FaultKind::memory, 0, 0, "element 0, whose memory was released"}, [](EmulatedDevice& device) {
    float* const x = device.put(counted(4));
    device.runtime().release(x);
    return NoBoundsCheck{{x, 4}, {device.allocate<float>(4), 4}};
  });
}

TEST_CASE("shared memory: not written, a part too small, a block with too few bytes") {
  check_broken({2, 32, 256}, {FaultKind::uninitialised, 0, 31, "a read of element 32, which was not written"}, [](EmulatedDevice& device) {
    return Uninitialised{{device.allocate<float>(64), 64}};
  });
  check_broken({1, 32, 128}, {FaultKind::shared_bounds, 0, 16, "a write of element 16, the part has 16"},
               [](EmulatedDevice&) { return PartTooSmall(); });
  check_broken({1, 32, 128}, {FaultKind::shared_bounds, 0, 0, "in bytes 64 to 192, the block has 128"},
               [](EmulatedDevice&) { return BytesTooFew(); });
}

TEST_CASE("barriers and shuffles that not all come to") {
  check_broken({1, 64, 0}, {FaultKind::divergence, 0, 0, "waits at a barrier, while thread 16 has ended"},
               [](EmulatedDevice&) { return BarrierOfSome(); });
  check_broken({1, 64, 0}, {FaultKind::divergence, 0, 0, "while thread 32 waits at the barrier at "},
               [](EmulatedDevice&) { return TwoBarriers(); });
  check_broken({1, 64, 0}, {FaultKind::divergence, 0, 0, "waits at a shuffle, while thread 16 has ended"}, [](EmulatedDevice& device) {
    return ShuffleOfSome{{device.allocate<float>(64), 64}};
  });
  check_broken({1, 48, 0}, {FaultKind::divergence, 0, 32, "wanted a shuffle by all 32 threads of a warp, this one has 16"},
               [](EmulatedDevice&) { return ShuffleOfAll(); });
}

TEST_CASE("races in global memory") {
  check_broken({3, 32, 0}, {FaultKind::race, 1, 5, "a write of element 0, which thread 5 of block 0 wrote at line "},
               [](EmulatedDevice& device) {
                 return BlocksToOneAddress{{device.allocate<float>(1), 1}};
               });
  check_broken({1, 32, 0}, {FaultKind::race, 0, 1, "a write of element 1, which thread 0 of the same block read at line "},
               [](EmulatedDevice& device) {
                 return ShiftInPlace{{device.put(counted(32)), 32}};
               });
  check_broken({32, 1, 0}, {FaultKind::race, 1, 0, "a write of element 1, which thread 0 of block 0 read at line "},
               [](EmulatedDevice& device) {
                 return ShiftInPlace{{device.put(counted(32)), 32}};
               });
  check_broken({2, 32, 0}, {FaultKind::race, 0, 1, "a read of element 0, which thread 0 of the same block wrote at line "},
               [](EmulatedDevice& device) {
                 return ReadsAtomic{{device.put(std::vector<std::int32_t>{100}), 1}, {device.allocate<std::int32_t>(2), 2}};
               });
}

TEST_CASE("races between blocks and with atomic accesses, and of bytes") {
  check_broken({3, 1, 0}, {FaultKind::race, 2, 0, "a write of element 0, which another block read"}, [](EmulatedDevice& device) {
    return ReadByAll{{device.put(counted(1)), 1}};
  });
  check_broken({2, 1, 0}, {FaultKind::race, 1, 0, "an atomic access of element 0, which thread 0 of block 0 wrote at line "},
               [](EmulatedDevice& device) {
                 return ClearedByOne{{device.put(std::vector<std::int32_t>{0}), 1}};
               });
  check_broken({1, 8, 0}, {FaultKind::race, 0, 1, "a write of element 0, which thread 0 of the same block wrote"},
               [](EmulatedDevice& device) {
                 return OneByte{{device.allocate<std::uint8_t>(4), 4}};
               });
}

TEST_CASE("a sum whose order is that of the threads differs between orders") {
  std::set<float> sums;
  for (const EmulatorOptions& options : emulated_orders()) {
    EmulatedDevice device(options);
    std::vector<float> values(64);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::ldexp(1.0f, static_cast<int>(i * 7 % 31)) + 0.3f;
    float sum = 0;
    launch(device.queue(), "as_it_comes", {2, 32, 0}, SumAsItComes{&sum, {device.put(values), 64}});
    device.queue().wait();
    sums.insert(sum);
  }
  CHECK(sums.size() > 1);
}

}  // namespace
}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
