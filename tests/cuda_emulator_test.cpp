// The CUDA emulator: right kernels give the same bits in every order, and broken ones are caught with kernel, block, thread and line.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>

#include <wengert/backends/cuda/emulator/fault.hpp>
#include <wengert/backends/cuda/thread.hpp>

#include "cuda_support.hpp"
#include "ops_support.hpp"

namespace wengert::cuda::WENGERT_CUDA_SIDE {
namespace {

using testing::contains;
using testing::emulated_orders;
using testing::EmulatedDevice;
using testing::message_of;

std::vector<float> counted(Index count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), 1.0f);
  return values;
}

// ---- right kernels

struct Add {
  Global<const float> a, b;
  Global<float> y;
  Index count;
  WENGERT_DEVICE void operator()(Thread& thread) const {
    for (Index i = thread.global(); i < count; i += thread.total()) y.store(i, a.load(i) + b.load(i));
  }
};

struct ScaleFour {
  Global<float> x;
  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Index i = 4 * thread.global();
    const Four four = x.load_four(i);
    x.store_four(i, {2 * four.x, 2 * four.y, 2 * four.z, 2 * four.w});
  }
};

// y[block] = the sum of a block's elements, as a tree.
struct BlockSum {
  Global<const float> x;
  Global<float> y;
  Index count;
  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Shared<float> part = thread.shared<float>(0, thread.size());
    float sum = 0;
    for (Index i = thread.global(); i < count; i += thread.total()) sum += x.load(i);
    part.store(thread.index(), sum);
    for (int half = thread.size() / 2; half > 0; half /= 2) {
      thread.barrier();
      if (thread.index() < half) part.store(thread.index(), part.load(thread.index()) + part.load(thread.index() + half));
    }
    if (thread.index() == 0) y.store(thread.block(), part.load(0));
  }
};

// The same by shuffles, and one value a warp in shared memory.
struct WarpSum {
  Global<const float> x;
  Global<float> y;
  Index count;
  WENGERT_DEVICE static float over_warp(Thread& thread, float value) {
    for (int bits = 16; bits > 0; bits /= 2) value += thread.shuffle_xor(value, bits);
    return value;
  }
  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Shared<float> part = thread.shared<float>(0, warp_size);
    const float mine = thread.global() < count ? x.load(thread.global()) : 0.0f;
    const float of_warp = over_warp(thread, mine);
    if (thread.lane() == 0) part.store(thread.warp(), of_warp);
    thread.barrier();
    if (thread.warp() != 0) return;
    const float all = over_warp(thread, thread.lane() < thread.size() / warp_size ? part.load(thread.lane()) : 0.0f);
    if (thread.lane() == 0) y.store(thread.block(), all);
  }
};

// x (rows,columns), multiples of 16; a block of 256 threads moves a tile of 16 x 16.
struct Transpose {
  Global<const float> x;
  Global<float> y;
  Index rows, columns;
  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Shared<float> tile = thread.shared<float>(0, 16 * 17);
    const Index row = thread.block() / (columns / 16) * 16, column = thread.block() % (columns / 16) * 16;
    const int i = thread.index() / 16, j = thread.index() % 16;
    tile.store(i * 17 + j, x.load((row + i) * columns + column + j));
    thread.barrier();
    y.store((column + i) * rows + row + j, tile.load(j * 17 + i));
  }
};

struct Smallest {
  Global<const std::int32_t> x;
  Global<std::int32_t> y;
  WENGERT_DEVICE void operator()(Thread& thread) const { y.atomic_min(0, x.load(thread.global())); }
};

TEST_CASE("right kernels give the same bits in every order of blocks and threads") {
  for (const EmulatorOptions& options : emulated_orders()) {
    CAPTURE(static_cast<int>(options.order));
    CAPTURE(options.seed);
    EmulatedDevice device(options);
    const float* const x = device.put(counted(1000));
    float* const y = device.allocate<float>(1000);

    launch(device.queue(), "add", {3, 64, 0}, Add{{x, 1000}, {x, 1000}, {y, 1000}, 1000});
    std::vector<float> doubled = counted(1000);
    for (float& value : doubled) value *= 2;
    CHECK(device.get(y, 1000) == doubled);

    float* const four = device.put(counted(256));
    launch(device.queue(), "scale_four", {2, 32, 0}, ScaleFour{{four, 256}});
    CHECK(device.get(four, 256) == std::vector<float>(doubled.begin(), doubled.begin() + 256));

    launch(device.queue(), "block_sum", {1, 256, 256 * 4}, BlockSum{{x, 1000}, {y, 1}, 1000});
    CHECK(device.get(y, 1) == std::vector<float>{500500});
    launch(device.queue(), "warp_sum", {5, 256, warp_size * 4}, WarpSum{{x, 1000}, {y, 5}, 1000});
    CHECK(device.get(y, 5) == std::vector<float>{32896, 98432, 163968, 205204, 0});

    float* const turned = device.allocate<float>(32 * 48);
    float* const back = device.allocate<float>(32 * 48);
    const float* const matrix = device.put(counted(32 * 48));
    launch(device.queue(), "transpose", {6, 256, 16 * 17 * 4}, Transpose{{matrix, 32 * 48}, {turned, 32 * 48}, 32, 48});
    launch(device.queue(), "transpose", {6, 256, 16 * 17 * 4}, Transpose{{turned, 32 * 48}, {back, 32 * 48}, 48, 32});
    const std::vector<float> there = device.get(turned, 32 * 48);
    CHECK(there[1] == 49);
    CHECK(there[32] == 2);
    CHECK(device.get(back, 32 * 48) == counted(32 * 48));

    const std::int32_t* const numbers = device.put(std::vector<std::int32_t>{7, 3, 9, 5, 4, 8, 6, 2});
    std::int32_t* const smallest = device.put(std::vector<std::int32_t>{100});
    launch(device.queue(), "smallest", {2, 4, 0}, Smallest{{numbers, 8}, {smallest, 1}});
    CHECK(device.get(smallest, 1).front() == 2);
  }
}

// ---- broken kernels. Each notes the line of its fault, in a statement of the same line.

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
  float* const y = device.put(counted(4));
  launch(device.queue(), "add", {1, 4, 0}, Add{{y, 4}, {y, 4}, {y, 4}, 4});
  CHECK(device.get(y, 4) == std::vector<float>{2, 4, 6, 8});
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
    CHECK(contains(message, "cuda_emulator_test.cpp:" + std::to_string(fault->place().line) + ": " + name(fault->kind())));
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
  check_broken({1, 32, 128}, {FaultKind::race, 0, 1, "a read of element 0 written by thread 0 of the same block at line "},
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
  check_broken({3, 32, 0}, {FaultKind::race, 1, 5, "a write of element 0 written by thread 5 of block 0 at line "},
               [](EmulatedDevice& device) {
                 return BlocksToOneAddress{{device.allocate<float>(1), 1}};
               });
  check_broken({1, 32, 0}, {FaultKind::race, 0, 1, "a write of element 1 read by thread 0 of the same block at line "},
               [](EmulatedDevice& device) {
                 return ShiftInPlace{{device.put(counted(32)), 32}};
               });
  check_broken({32, 1, 0}, {FaultKind::race, 1, 0, "a write of element 1 read by thread 0 of block 0 at line "},
               [](EmulatedDevice& device) {
                 return ShiftInPlace{{device.put(counted(32)), 32}};
               });
  check_broken({2, 32, 0}, {FaultKind::race, 0, 1, "a read of element 0 written by thread 0 of the same block at line "},
               [](EmulatedDevice& device) {
                 return ReadsAtomic{{device.put(std::vector<std::int32_t>{100}), 1}, {device.allocate<std::int32_t>(2), 2}};
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

TEST_CASE("launches that no device takes") {
  EmulatedDevice device;
  const auto refusal = [&device](const Grid& grid) { return message_of([&] { launch(device.queue(), "broken", grid, BarrierOfSome()); }); };
  CHECK(refusal({0, 32, 0}) == "[broken] grid: wanted 1 to 2147483647 blocks, got 0");
  CHECK(contains(refusal({Index{1} << 31, 32, 0}), "got 2147483648"));
  CHECK(refusal({1, 0, 0}) == "[broken] grid: wanted 1 to 1024 threads a block, got 0");
  CHECK(contains(refusal({1, 1025, 0}), "got 1025"));
  CHECK(refusal({1, 32, 49153}) == "[broken] grid: wanted up to 49152 bytes of shared memory, got 49153");
  device.queue().node = "[relu 'act' main.cpp:7]";
  CHECK(contains(refusal({0, 32, 0}), "[relu 'act' main.cpp:7] [broken] grid:"));
}

TEST_CASE("memory outside a kernel, and a kernel within one") {
  float value = 0;
  CHECK(contains(message_of([&] { Global<float>(&value, 1).load(0); }), "while none runs"));
}

}  // namespace
}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
