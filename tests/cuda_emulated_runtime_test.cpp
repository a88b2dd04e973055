// The emulated device: memory, lazy queues, events, capture and replay, products; what CUDA forbids is an error here too.
#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include <unistd.h>

#include <wengert/backends/cuda/emulator/fault.hpp>
#include <wengert/backends/cuda/functions.hpp>
#include <wengert/backends/cuda/thread.hpp>

#include "cuda_support.hpp"
#include "ops_support.hpp"

namespace wengert::cuda::WENGERT_CUDA_SIDE {
namespace {

using test::contains;
using test::emulated_orders;
using test::EmulatedDevice;
using test::message_of;

constexpr Index size = sizeof(float);

struct Increment {
  Global<float> x;
  float by;
  WENGERT_DEVICE void operator()(Thread& thread) const { x.store(thread.global(), x.load(thread.global()) + by); }
};

void increment(DeviceQueue& queue, float* x, float by) {
  launch(static_cast<Queue&>(queue), "increment", {1, 1, 0}, Increment{{x, 1}, by});
}

struct Double {
  Global<float> x;
  WENGERT_DEVICE void operator()(Thread& thread) const { x.store(thread.global(), 2 * x.load(thread.global())); }
};

void twice(DeviceQueue& queue, float* x) { launch(static_cast<Queue&>(queue), "twice", {1, 1, 0}, Double{{x, 1}}); }

TEST_CASE("memory: aligned, NaN until written, limited") {
  EmulatedDevice device({.index = 3, .memory = 1000});
  DeviceRuntime& runtime = device.runtime();
  CHECK(runtime.device() == Device{Device::Kind::cuda, 3});
  CHECK(runtime.describe() == "emulated CUDA device");
  float* const memory = device.allocate<float>(225);
  CHECK(reinterpret_cast<std::uintptr_t>(memory) % 256 == 0);
  for (const float value : device.get(memory, 225)) CHECK(std::isnan(value));
  CHECK(message_of([&] { runtime.allocate(1234); }) == "[cuda:3] out of memory: wanted 1,234 bytes, 100 of 1,000 bytes are free");
  runtime.release(memory);
  void* const all = runtime.allocate(1000);
  CHECK(emulator_counts(runtime).bytes == 1000);
  runtime.release(all);
  runtime.release(nullptr);
  CHECK(emulator_counts(runtime).bytes == 0);
  CHECK(emulator_counts(runtime).most_bytes == 1000);
}

TEST_CASE("an allocation that fails on demand") {
  EmulatedDevice device;
  DeviceRuntime& runtime = device.runtime();
  fail_allocation(runtime, 2);
  CHECK(runtime.allocate(8) != nullptr);
  CHECK(contains(message_of([&] { runtime.allocate(8); }), "[cuda:0] out of memory: wanted 8 bytes, 0 of 1,073,741,824 bytes are free"));
  CHECK(runtime.allocate(8) != nullptr);
  fail_pinned_allocation(runtime, 1);
  CHECK(contains(message_of([&] { runtime.allocate_pinned(8); }), "[cuda:0] pinned memory: out of memory"));
  CHECK(emulator_counts(runtime).allocations == 2);
}

TEST_CASE("hidden memory: the host can't read it") {
  EmulatedDevice device({.hidden = true});
  float* const x = device.put(std::vector<float>{1});
  increment(device.queue(), x, 1);
  CHECK(device.get(x, 1).front() == 2);
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  CHECK(write(ends[1], x, 1) == -1);
  CHECK(errno == EFAULT);
  close(ends[0]), close(ends[1]);
}

TEST_CASE("work is done when somebody waits") {
  EmulatedDevice device;
  float* const x = device.put(std::vector<float>{1});
  increment(device.queue(), x, 1);
  CHECK(emulator_counts(device.runtime()).kernels.empty());
  device.queue().wait();
  CHECK(emulator_counts(device.runtime()).kernels.at("increment") == 1);
  increment(device.queue(), x, 2);
  const auto event = device.queue().record();
  increment(device.queue(), x, 3);
  event->wait();
  CHECK(emulator_counts(device.runtime()).kernels.at("increment") == 2);
  CHECK(device.get(x, 1).front() == 7);

  EmulatedDevice eager({.eager = true});
  float* const y = eager.put(std::vector<float>{1});
  increment(eager.queue(), y, 1);
  CHECK(emulator_counts(eager.runtime()).kernels.at("increment") == 1);
}

TEST_CASE("pinned memory that is used again too early shows as a wrong value; other memory may be") {
  EmulatedDevice device;
  DeviceRuntime& runtime = device.runtime();
  float* const staging = static_cast<float*>(runtime.allocate_pinned(size));
  float *const x = device.allocate<float>(1), *const y = device.allocate<float>(1);
  *staging = 1;
  device.queue().upload_pinned(x, staging, size);
  *staging = 2;
  CHECK(device.get(x, 1).front() == 2);  // 1 was meant

  device.queue().upload_pinned(x, staging, size);
  const auto copied = device.queue().record();
  copied->wait();
  *staging = 3;
  float plain = 4;
  device.queue().upload(y, &plain, size);
  plain = 5;
  CHECK(device.get(x, 1).front() == 2);
  CHECK(device.get(y, 1).front() == 4);
  CHECK(contains(message_of([&] { device.queue().upload_pinned(x, &plain, size); }), "wanted 4 bytes of pinned memory"));
  runtime.release_pinned(staging);
}

// What a second queue finds in x after the first has added 1 to 1, and whether the second's own doubling is then part of the first's result.
TEST_CASE("a forgotten wait between queues shows in some order, and a right one in none") {
  for (const bool waits : {false, true}) {
    int right = 0;
    const std::vector<EmulatorOptions> orders = emulated_orders();
    for (const EmulatorOptions& options : orders) {
      EmulatedDevice device(options);
      float* const x = device.put(std::vector<float>{1});
      const auto other = device.runtime().make_queue();
      other->wait_for(*device.queue().record());
      increment(device.queue(), x, 1);
      if (waits) other->wait_for(*device.queue().record());
      twice(*other, x);
      const auto after = other->record();
      if (waits) device.queue().wait_for(*after);
      increment(device.queue(), x, 10);
      right += device.get(x, 1).front() == 14;
    }
    if (waits) CHECK(right == static_cast<int>(orders.size()));
    else CHECK(right < static_cast<int>(orders.size()));
  }
}

TEST_CASE("a queue's work is done even if the queue is gone") {
  EmulatedDevice device;
  float* const x = device.put(std::vector<float>{1});
  std::unique_ptr<DeviceEvent> event;
  {
    const auto other = device.runtime().make_queue();
    other->wait_for(*device.queue().record());
    increment(*other, x, 1);
    event = other->record();
  }
  device.queue().wait_for(*event);
  CHECK(device.get(x, 1).front() == 2);
}

TEST_CASE("copies, fills and their limits") {
  EmulatedDevice device;
  Queue& queue = device.queue();
  float *const x = device.put(std::vector<float>{1, 2, 3, 4}), *const y = device.allocate<float>(4);
  queue.copy(y, x, 4 * size);
  queue.fill(x, 0, 2 * size);
  CHECK(device.get(x, 4) == std::vector<float>{0, 0, 3, 4});
  CHECK(device.get(y, 4) == std::vector<float>{1, 2, 3, 4});
  CHECK(contains(message_of([&] { queue.copy(y, x, 5 * size); }),
                 "[cuda:0] copy: wanted 20 bytes of the device's memory, got memory that ends"));
  CHECK(contains(message_of([&] { queue.copy(x + 1, x, 2 * size); }), "does not overlap"));
  CHECK(contains(message_of([&] { queue.fill(x, 0, -1); }), "got -1"));
  float host = 0;
  CHECK(contains(message_of([&] { queue.fill(&host, 0, size); }), "got an address that was never allocated"));
  device.runtime().release(x);
  CHECK(contains(message_of([&] { queue.copy(y, x, size); }), "got memory that was released"));
}

TEST_CASE("released memory is gone behind the work of before") {
  EmulatedDevice device({.memory = 8});
  DeviceRuntime& runtime = device.runtime();
  float *const x = device.put(std::vector<float>{1}), *const y = device.put(std::vector<float>{1});
  device.queue().wait();
  increment(device.queue(), x, 1);
  runtime.release(x);
  CHECK(emulator_counts(runtime).bytes == 8);
  CHECK(contains(message_of([&] { device.queue().fill(x, 0, size); }), "got memory that was released"));
  increment(device.queue(), x, 1);  // too late
  CHECK(contains(message_of([&] { device.queue().wait(); }), "[increment] block 0, thread 0, "));
  CHECK(emulator_counts(runtime).kernels.at("increment") == 1);
  CHECK(emulator_counts(runtime).bytes == 4);

  increment(device.queue(), y, 1);
  runtime.release(y);
  CHECK(runtime.allocate(8) != nullptr);  // waits for the work first
  CHECK(emulator_counts(runtime).kernels.at("increment") == 2);
  runtime.release(y);
  CHECK(contains(message_of([&] { device.queue().wait(); }), "released twice"));
}

TEST_CASE("a Fault is thrown by who waits, what is left is dropped, and the device goes on") {
  EmulatedDevice device;
  float* const x = device.put(std::vector<float>{1});
  launch(device.queue(), "beyond", {2, 1, 0}, Increment{{x, 1}, 1});
  increment(device.queue(), x, 5);
  CHECK(contains(message_of([&] { device.queue().wait(); }), "[beyond] block 1, thread 0, "));
  CHECK(device.get(x, 1).front() == 2);
  increment(device.queue(), x, 1);
  CHECK(device.get(x, 1).front() == 3);
}

float value_of(DeviceQueue& queue, const float* x) {
  float value = 0;
  queue.download(&value, x, size);
  return value;
}

TEST_CASE("capture and replay") {
  for (const EmulatorOptions& options : emulated_orders()) {
    EmulatedDevice device(options);
    float *const x = device.put(std::vector<float>{1}), *const y = device.put(std::vector<float>{100});
    float* const z = device.allocate<float>(1);
    device.queue().wait();
    const auto first = device.runtime().make_queue(), second = device.runtime().make_queue();
    first->begin_capture();
    increment(*first, x, 1);
    second->wait_for(*first->record());
    second->copy(y, x, size);
    increment(*second, y, 10);
    first->wait_for(*second->record());
    twice(*first, x);
    static_cast<Queue&>(*first).gemm({.rows = 1, .inner = 1, .columns = 1, .a_pitch = 1, .b_pitch = 1, .c_pitch = 1}, 1, x, y, 0, z);
    const auto recording = first->end_capture();
    CHECK(value_of(*first, x) == 1);
    CHECK(value_of(*second, y) == 100);
    first->replay(*recording);
    CHECK(value_of(*first, x) == 4);
    CHECK(value_of(*first, y) == 12);
    CHECK(value_of(*first, z) == 48);
    first->replay(*recording);
    second->replay(*recording);  // not beside the other
    CHECK(value_of(*second, x) == 22);
    CHECK(emulator_counts(device.runtime()).replays == 3);
    CHECK(emulator_counts(device.runtime()).kernels.at("twice") == 3);
  }
}

TEST_CASE("branches of a recording run in any order") {
  std::vector<float> found;
  for (const EmulatorOptions& options : emulated_orders()) {
    EmulatedDevice device(options);
    float* const x = device.put(std::vector<float>{1});
    device.queue().wait();
    const auto first = device.runtime().make_queue(), second = device.runtime().make_queue();
    first->begin_capture();
    second->wait_for(*first->record());
    twice(*second, x);
    increment(*first, x, 1);
    first->wait_for(*second->record());
    first->replay(*first->end_capture());
    found.push_back(value_of(*first, x));
  }
  CHECK(std::find(found.begin(), found.end(), 3.0f) != found.end());
  CHECK(std::find(found.begin(), found.end(), 4.0f) != found.end());
}

TEST_CASE("what breaks a capture") {
  EmulatedDevice device;
  DeviceRuntime& runtime = device.runtime();
  float* const x = device.put(std::vector<float>{1});
  device.queue().wait();
  const auto queue = runtime.make_queue(), other = runtime.make_queue();
  const auto earlier = queue->record();
  float host = 0;
  const auto broken_by = [&](auto&& call) {
    queue->begin_capture();
    increment(*queue, x, 1);
    const std::string said = message_of(call), after = message_of([&] { increment(*queue, x, 1); });
    const std::string at_end = message_of([&] { queue->end_capture(); });
    CHECK(said.starts_with("[cuda:0] "));
    CHECK(contains(said, " during a capture"));
    CHECK(contains(after, "[cuda:0] the capture failed: "));
    CHECK(after == at_end);
    return at_end;
  };
  CHECK(broken_by([&] { queue->wait(); }) == "[cuda:0] the capture failed: wait() during a capture");
  CHECK(contains(broken_by([&] { queue->download(&host, x, size); }), "download()"));
  CHECK(contains(broken_by([&] { queue->upload(x, &host, size); }), "upload()"));
  CHECK(contains(broken_by([&] { queue->record()->wait(); }), "an event's wait()"));
  CHECK(contains(broken_by([&] { runtime.allocate(8); }), "allocate()"));
  CHECK(contains(broken_by([&] { runtime.allocate_pinned(8); }), "allocate_pinned()"));
  CHECK(contains(broken_by([&] { queue->begin_capture(); }), "begin_capture()"));

  queue->begin_capture();
  CHECK(contains(message_of([&] { queue->wait_for(*earlier); }), "an event from before the capture"));
  CHECK(contains(message_of([&] { queue->end_capture(); }), "an event from before the capture"));

  queue->begin_capture();
  other->wait_for(*queue->record());
  increment(*other, x, 1);
  CHECK(contains(message_of([&] { queue->end_capture(); }), "a queue that joined it was not waited for before the end"));

  queue->begin_capture();
  increment(*queue, x, 1);
  const auto of_capture = queue->record();
  CHECK(contains(message_of([&] { device.queue().wait_for(*of_capture); }), "wanted a queue of make_queue() to join a capture"));
  const auto recording = queue->end_capture();
  CHECK(contains(message_of([&] { other->wait_for(*of_capture); }), "recorded in a capture that is over"));
  CHECK(contains(message_of([&] { of_capture->wait(); }), "recorded in a capture"));
  CHECK(contains(message_of([&] { queue->end_capture(); }), "wanted a queue that is captured"));
  CHECK(contains(message_of([&] { device.queue().begin_capture(); }), "wanted a queue of make_queue()"));

  CHECK(value_of(*queue, x) == 1);
  queue->replay(*recording);
  CHECK(value_of(*queue, x) == 2);
  runtime.release(x);
  queue->replay(*recording);
  CHECK(contains(message_of([&] { queue->wait(); }), "whose memory was released"));
}

TEST_CASE("a product with transposed, padded and shared operands") {
  EmulatedDevice device;
  Queue& queue = device.queue();
  const auto check = [&](const Product& product, const std::vector<float>& a, const std::vector<float>& b,
                         const std::vector<float>& wanted) {
    float* const c = device.allocate<float>(static_cast<Index>(wanted.size()));
    queue.fill(c, 0xff, static_cast<Index>(wanted.size()) * size);
    queue.gemm(product, 2, device.put(a), device.put(b), 0, c);
    std::vector<float> found = device.get(c, static_cast<Index>(wanted.size()));
    for (float& value : found) value = std::isnan(value) ? -1 : value;  // not written
    CHECK(found == wanted);
  };
  const std::vector<float> a{1, 2, 3, 4, 5, 6}, b{1, 0, 2, 1, 0, 3};
  check({.rows = 2, .inner = 3, .columns = 2, .a_pitch = 3, .b_pitch = 2, .c_pitch = 2}, a, b, {10, 22, 28, 46});
  check({.rows = 2, .inner = 3, .columns = 2, .transpose_a = true, .a_pitch = 2, .b_pitch = 2, .c_pitch = 3}, {1, 4, 2, 5, 3, 6}, b,
        {10, 22, -1, 28, 46});
  check({.rows = 2, .inner = 3, .columns = 2, .transpose_b = true, .a_pitch = 3, .b_pitch = 4, .c_pitch = 2}, a, {1, 2, 0, 9, 0, 1, 3},
        {10, 22, 28, 46});
  check({.batch = 2, .rows = 1, .inner = 1, .columns = 2, .a_pitch = 1, .b_pitch = 2, .c_pitch = 2, .a_step = 1, .c_step = 3}, {1, 3},
        {1, 2}, {2, 4, -1, 6, 12});

  float* const c = device.put(std::vector<float>{1, 2, 3, 4});
  queue.gemm({.rows = 1, .inner = 1, .columns = 4, .a_pitch = 1, .b_pitch = 4, .c_pitch = 4}, 1, device.put(std::vector<float>{2}),
             device.put(std::vector<float>{1, 1, 1, 1}), 0.5f, c);
  CHECK(device.get(c, 4) == std::vector<float>{2.5, 3, 3.5, 4});

  const auto refusal = [&](const Product& product) { return message_of([&] { queue.gemm(product, 1, c, c, 0, c); }); };
  CHECK(contains(refusal({.rows = 1, .inner = 2, .columns = 1, .a_pitch = 1, .b_pitch = 1, .c_pitch = 1}),
                 "wanted a's pitch to be at least 2, got 1"));
  CHECK(contains(refusal({.rows = -1, .a_pitch = 1, .b_pitch = 1, .c_pitch = 1}), "got -1"));
  CHECK(contains(refusal({.batch = 2, .rows = 1, .inner = 1, .columns = 2, .a_pitch = 1, .b_pitch = 2, .c_pitch = 2}),
                 "wanted c's step to be at least 2"));
  CHECK(contains(refusal({.rows = 5, .inner = 1, .columns = 1, .a_pitch = 1, .b_pitch = 1, .c_pitch = 1}), "gemm, a: wanted 20 bytes"));
}

TEST_CASE("functions, and devices that others made") {
  EmulatedDevice device, second;
  CHECK(&device.queue().functions() == &emulated_functions());
  CHECK(contains(message_of([&] { device.queue().wait_for(*second.queue().record()); }), "wanted an event of this device"));
}

}  // namespace
}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
