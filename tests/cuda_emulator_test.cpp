// The CUDA emulator: right kernels give the same bits in every order of blocks and threads (broken ones: cuda_emulator_faults_test.cpp).
#include <doctest/doctest.h>

#include <cstdint>
#include <exception>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include <wengert/backends/cuda/thread.hpp>

#include "cuda_support.hpp"
#include "ops_support.hpp"

namespace wengert::cuda::WENGERT_CUDA_SIDE {
namespace {

using test::contains;
using test::counted;
using test::emulated_orders;
using test::EmulatedDevice;
using test::message_of;

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

// Neighbouring bytes are different places, in global and in shared memory.
struct Reverse {
  Global<std::uint8_t> x;
  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Shared<std::uint8_t> kept = thread.shared<std::uint8_t>(16, thread.size());
    kept.store(thread.index(), x.load(thread.global()));
    thread.barrier();
    x.store(thread.global(), kept.load(thread.size() - 1 - thread.index()));
  }
};

struct SumOfDoubles {
  Global<const double> x;
  Global<double> y;
  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Shared<double> part = thread.shared<double>(0, thread.size());
    part.store(thread.index(), x.load(thread.global()));
    for (int half = thread.size() / 2; half > 0; half /= 2) {
      thread.barrier();
      if (thread.index() < half) part.store(thread.index(), part.load(thread.index()) + part.load(thread.index() + half));
    }
    if (thread.index() == 0) y.store(thread.block(), part.load(0));
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

    std::uint8_t* const bytes = device.put(std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6});
    launch(device.queue(), "reverse", {2, 3, 19}, Reverse{{bytes, 6}});
    CHECK(device.get(bytes, 6) == std::vector<std::uint8_t>{3, 2, 1, 6, 5, 4});
    const double* const doubles = device.put(std::vector<double>(1024, 0.5));
    double* const sum = device.allocate<double>(1);
    launch(device.queue(), "sum_of_doubles", {1, 1024, 8192}, SumOfDoubles{{doubles, 1024}, {sum, 1}});
    CHECK(device.get(sum, 1).front() == 512);
  }
}

TEST_CASE("each host thread has an emulator of its own") {
  std::vector<float> sums(4);
  std::vector<std::thread> hosts;
  for (std::size_t h = 0; h < sums.size(); ++h) {
    hosts.emplace_back([&sums, h] {
      EmulatedDevice device({.order = Order::shuffled, .seed = h});
      const float* const x = device.put(counted(1000));
      float* const y = device.allocate<float>(1);
      for (int i = 0; i < 10; ++i) launch(device.queue(), "block_sum", {1, 256, 1024}, BlockSum{{x, 1000}, {y, 1}, 1000});
      sums[h] = device.get(y, 1).front();
    });
  }
  for (std::thread& host : hosts) host.join();
  CHECK(sums == std::vector<float>(4, 500500));
}

TEST_CASE("an exception of a kernel's own reaches who waits") {
  struct Odd : std::exception {};
  struct Throws {
    void operator()(Thread& thread) const {
      thread.barrier();
      if (thread.index() == 7) throw Odd();
      thread.barrier();
    }
  };
  EmulatedDevice device;
  launch(device.queue(), "throws", {2, 64, 0}, Throws());
  CHECK_THROWS_AS(device.queue().wait(), Odd);
}

struct Nothing {
  WENGERT_DEVICE void operator()(Thread&) const {}
};

TEST_CASE("launches that no device takes") {
  EmulatedDevice device;
  const auto refusal = [&device](const Grid& grid) { return message_of([&] { launch(device.queue(), "broken", grid, Nothing()); }); };
  CHECK(refusal({0, 32, 0}) == "[broken] grid: wanted 1 to 2147483647 blocks, got 0");
  CHECK(contains(refusal({Index{1} << 31, 32, 0}), "got 2147483648"));
  CHECK(refusal({1, 0, 0}) == "[broken] grid: wanted 1 to 1024 threads a block, got 0");
  CHECK(contains(refusal({1, 1025, 0}), "got 1025"));
  CHECK(refusal({1, 32, 49153}) == "[broken] grid: wanted up to 49152 bytes of shared memory, got 49153");
  device.queue().node = "[relu 'act' main.cpp:7]";
  CHECK(contains(refusal({0, 32, 0}), "[relu 'act' main.cpp:7] [broken] grid:"));
}

TEST_CASE("a kernel's memory is not for the host") {
  float value = 0;
  CHECK(contains(message_of([&] { Global<float>(&value, 1).load(0); }), "while none runs"));
}

}  // namespace
}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
