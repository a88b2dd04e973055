// What every CUDA device does: memory, queues, events, recordings, products. On the one that tests/main.cpp has opened, emulated or a real one.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <wengert/backends/cuda/queue.hpp>
#include <wengert/engine/device.hpp>
#include <wengert/engine/error.hpp>

#include "ops_support.hpp"

namespace wg = wengert;
using wg::DeviceQueue, wg::DeviceRuntime, wg::Index;
using wg::test::contains, wg::test::message_of;

namespace {

std::shared_ptr<DeviceRuntime> runtime() { return wg::device_runtime({wg::Device::Kind::cuda, 0}); }

// Floats on the device.
class Floats {
 public:
  Floats(DeviceRuntime& runtime, std::size_t count) : runtime_(runtime), count_(count), data_(runtime.allocate(bytes())) {}
  Floats(DeviceRuntime& runtime, const std::vector<float>& values) : Floats(runtime, values.size()) {
    runtime.queue().upload(data_, values.data(), bytes());
    runtime.queue().wait();
  }
  ~Floats() { runtime_.release(data_); }
  Floats(const Floats&) = delete;
  Floats& operator=(const Floats&) = delete;

  float* data() const { return static_cast<float*>(data_); }
  Index bytes() const { return static_cast<Index>(count_ * sizeof(float)); }
  std::vector<float> values(DeviceQueue& queue) const {
    std::vector<float> result(count_);
    queue.download(result.data(), data_, bytes());
    return result;
  }

 private:
  DeviceRuntime& runtime_;
  std::size_t count_;
  void* data_;
};

std::vector<float> repeated(std::size_t count, std::uint8_t byte) {
  float value = 0;
  std::memset(&value, byte, sizeof value);
  return std::vector<float>(count, value);
}

}  // namespace

TEST_CASE("cuda device: memory is aligned, filled, copied and read back") {
  const auto device = runtime();
  CHECK(!device->describe().empty());
  DeviceQueue& queue = device->queue();
  for (const std::size_t count : {std::size_t{1}, std::size_t{3}, std::size_t{1} << 20}) {
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i);
    const Floats a(*device, values), b(*device, count);
    CHECK(reinterpret_cast<std::uintptr_t>(a.data()) % 256 == 0);
    queue.copy(b.data(), a.data(), a.bytes());
    CHECK(b.values(queue) == values);
    queue.fill(b.data(), 0x11, b.bytes());
    CHECK(b.values(queue) == repeated(count, 0x11));
    CHECK(a.values(queue) == values);
  }
  void* const empty = device->allocate(0);
  CHECK(empty != nullptr);
  queue.fill(empty, 0, 0);
  device->release(empty);
  device->release(nullptr);
  CHECK_THROWS_AS(device->allocate(Index{1} << 50), wg::OutOfDeviceMemory);
  const std::string message = message_of([&] { device->allocate(Index{1} << 50); });
  CHECK_MESSAGE(contains(message, "[cuda:0] out of memory: wanted 1"), message);
  CHECK_MESSAGE(contains(message, " are free"), message);
}

TEST_CASE("cuda device: queues wait for events, and memory that is used again") {
  const auto device = runtime();
  constexpr std::size_t count = std::size_t{1} << 22;
  const auto first = device->make_queue(), second = device->make_queue();
  for (int round = 0; round < 20; ++round) {
    const auto byte = static_cast<std::uint8_t>(round + 1);
    const Floats b(*device, count);
    std::unique_ptr<wg::DeviceEvent> filled, copied;
    {
      const Floats a(*device, count);
      first->fill(a.data(), byte, a.bytes());
      filled = first->record();
      second->wait_for(*filled);
      second->copy(b.data(), a.data(), a.bytes());
      copied = second->record();
    }  // released while the second queue may still be reading it
    const Floats c(*device, count);
    device->queue().fill(c.data(), 0x7f, c.bytes());
    if (round % 3 == 1) filled->wait();
    if (round % 3 != 0) device->queue().wait();
    copied->wait();
    CHECK(b.values(*second) == repeated(count, byte));
    CHECK(c.values(device->queue()) == repeated(count, 0x7f));
  }
}

TEST_CASE("cuda device: a queue that is gone has done its work before its memory is used again") {
  const auto device = runtime();
  constexpr std::size_t count = std::size_t{1} << 22;
  const Floats b(*device, count);
  std::unique_ptr<wg::DeviceEvent> copied;
  {
    const Floats a(*device, count);
    const auto queue = device->make_queue();
    queue->fill(a.data(), 5, a.bytes());
    queue->wait();
    queue->copy(b.data(), a.data(), a.bytes());
    copied = queue->record();
  }
  const Floats c(*device, count);
  device->queue().fill(c.data(), 0x7f, c.bytes());
  device->queue().wait();
  copied->wait();
  CHECK(b.values(device->queue()) == repeated(count, 5));
}

TEST_CASE("cuda device: a recording of two queues is replayed with what its inputs hold then") {
  const auto device = runtime();
  constexpr std::size_t count = 1000;
  const auto main = device->make_queue(), side = device->make_queue();
  const Floats in(*device, count), left(*device, repeated(count, 1)), right(*device, repeated(count, 2));
  auto* const pinned = static_cast<float*>(device->allocate_pinned(in.bytes()));

  main->begin_capture();
  main->upload_pinned(in.data(), pinned, in.bytes());
  side->wait_for(*main->record());
  main->copy(left.data(), in.data(), in.bytes());
  side->copy(right.data(), in.data(), in.bytes());
  main->wait_for(*side->record());
  const auto recording = main->end_capture();

  CHECK(left.values(*main) == repeated(count, 1));  // nothing was done yet
  CHECK(right.values(*side) == repeated(count, 2));
  for (const float value : {1.5f, -2.0f, 3.0f}) {
    std::fill(pinned, pinned + count, value);
    main->replay(*recording);
    main->wait();
    CHECK(left.values(*main) == std::vector<float>(count, value));
    CHECK(right.values(*main) == std::vector<float>(count, value));
  }
  CHECK(contains(message_of([&] { device->queue().begin_capture(); }), "make_queue()"));
  struct Foreign : wg::DeviceRecording {};
  CHECK(contains(message_of([&] { main->replay(Foreign()); }), "wanted a recording of"));
  device->release_pinned(pinned);
}

TEST_CASE("cuda device: a recording that can't be ended says why, and the queue goes on") {
  const auto device = runtime();
  const auto main = device->make_queue(), side = device->make_queue();
  const Floats a(*device, 16);
  main->begin_capture();
  side->wait_for(*main->record());
  side->fill(a.data(), 1, a.bytes());  // and nobody waits for it
  const std::string message = message_of([&] { main->end_capture(); });
  CHECK_MESSAGE(contains(message, "[cuda:0] "), message);
  main->fill(a.data(), 9, a.bytes());
  CHECK(a.values(*main) == repeated(16, 9));
}

TEST_CASE("cuda device: what a recording can't hold is refused") {
  const auto device = runtime();
  const Floats a(*device, 16);
  std::vector<float> here(16);
  const auto refused = [&](auto call) {
    const auto queue = device->make_queue();
    queue->begin_capture();
    const std::string message = message_of([&] {
      call(*queue);
      queue->end_capture();
    });
    CHECK_MESSAGE(contains(message, "[cuda:0] "), message);
  };
  refused([&](DeviceQueue& queue) { queue.download(here.data(), a.data(), a.bytes()); });
  refused([&](DeviceQueue& queue) { queue.wait(); });
  device->queue().fill(a.data(), 9, a.bytes());
  CHECK(a.values(device->queue()) == repeated(16, 9));
}

TEST_CASE("cuda device: products are right for every transposition, pitch and step") {
  const auto device = runtime();
  auto& queue = dynamic_cast<wg::cuda::Queue&>(device->queue());
  const auto value = [](Index i) { return static_cast<float>((i * 7 + 3) % 11 - 5); };
  for (int flags = 0; flags < 16; ++flags) {
    wg::cuda::Product p;
    p.rows = 5, p.inner = 7, p.columns = 3;
    p.batch = (flags & 4) != 0 ? 4 : 1;
    p.transpose_a = (flags & 1) != 0, p.transpose_b = (flags & 2) != 0;
    const Index more = (flags & 8) != 0 ? 2 : 0;  // between the rows
    p.a_pitch = (p.transpose_a ? p.rows : p.inner) + more;
    p.b_pitch = (p.transpose_b ? p.inner : p.columns) + more;
    p.c_pitch = p.columns + more;
    p.a_step = 100, p.b_step = 0, p.c_step = 90;  // b is shared
    std::vector<float> a(400), b(100), c(360);
    for (Index i = 0; i < 400; ++i) a[static_cast<std::size_t>(i)] = value(i);
    for (Index i = 0; i < 100; ++i) b[static_cast<std::size_t>(i)] = value(i + 5);
    for (Index i = 0; i < 360; ++i) c[static_cast<std::size_t>(i)] = value(i + 2);
    for (const float beta : {0.0f, 2.0f}) {
      std::vector<float> before = c;
      if (beta == 0.0f) std::fill(before.begin(), before.end(), std::numeric_limits<float>::quiet_NaN());
      std::vector<float> wanted = before;
      for (Index n = 0; n < p.batch; ++n) {
        for (Index i = 0; i < p.rows; ++i) {
          for (Index j = 0; j < p.columns; ++j) {
            float sum = 0;
            for (Index k = 0; k < p.inner; ++k) {
              const Index at_a = n * p.a_step + (p.transpose_a ? k * p.a_pitch + i : i * p.a_pitch + k);
              const Index at_b = p.transpose_b ? j * p.b_pitch + k : k * p.b_pitch + j;
              sum += a[static_cast<std::size_t>(at_a)] * b[static_cast<std::size_t>(at_b)];
            }
            float& to = wanted[static_cast<std::size_t>(n * p.c_step + i * p.c_pitch + j)];
            to = 3.0f * sum + (beta == 0.0f ? 0.0f : beta * to);
          }
        }
      }
      const Floats on_a(*device, a), on_b(*device, b), on_c(*device, before);
      queue.gemm(p, 3.0f, on_a.data(), on_b.data(), beta, on_c.data());
      const std::vector<float> got = on_c.values(queue);
      for (std::size_t i = 0; i < got.size(); ++i) {
        const bool same = got[i] == wanted[i] || (std::isnan(got[i]) && std::isnan(wanted[i]));
        REQUIRE_MESSAGE(same, "flags ", flags, ", beta ", beta, ", at ", i, ": wanted ", wanted[i], ", got ", got[i]);
      }
    }
  }
  wg::cuda::Product narrow{.batch = 1, .rows = 5, .inner = 7, .columns = 3, .a_pitch = 6, .b_pitch = 3, .c_pitch = 3};
  const Floats memory(*device, 100);
  queue.node = "[matmul 'fc' model.cpp:3]";
  const std::string message = message_of([&] {
    queue.gemm(narrow, 1.0f, memory.data(), memory.data(), 0.0f, memory.data());
    queue.wait();
  });
  queue.node = "";
  CHECK_MESSAGE(contains(message, "[matmul 'fc' model.cpp:3]"), message);
}

TEST_CASE("cuda device: a copy that the stop flag may stop") {
  const auto device = runtime();
  DeviceQueue& queue = device->queue();
  const std::vector<float> values = {1, 2, 3, 4, 5};
  const Floats from(*device, values), to(*device, std::vector<float>(5, 7)), flag(*device, 1);
  const auto copied = [&](std::int32_t stop, wg::Index bytes) {
    queue.upload(to.data(), std::vector<float>(5, 7).data(), to.bytes());
    queue.upload(flag.data(), &stop, sizeof stop);
    queue.stop_flag = reinterpret_cast<const std::int32_t*>(flag.data());
    queue.copy_unless_stopped(to.data(), from.data(), bytes);
    queue.stop_flag = nullptr;
    return to.values(queue);
  };
  CHECK(copied(DeviceQueue::none_bad, 20) == values);
  CHECK(copied(DeviceQueue::none_bad, 9)[1] == 2);  // bytes, where they are no whole words
  CHECK(copied(3, 20) == std::vector<float>(5, 7));
  queue.copy_unless_stopped(to.data(), from.data(), 20);
  CHECK(to.values(queue) == values);
}

TEST_CASE("cuda device: values that are not finite, or whose square is not, are found") {
  const auto device = runtime();
  DeviceQueue& queue = device->queue();
  std::vector<float> good(3000, 1e19f), bad = good, large = good;
  bad[2999] = std::numeric_limits<float>::quiet_NaN();
  large[0] = -1e20f;
  const Floats on_good(*device, good), on_bad(*device, bad), on_large(*device, large), flag(*device, 1);
  const auto found = [&](const std::vector<wg::Watched>& values) {
    std::int32_t step = DeviceQueue::none_bad;
    queue.upload(flag.data(), &step, sizeof step);
    queue.watch(values, reinterpret_cast<std::int32_t*>(flag.data()));
    queue.download(&step, flag.data(), sizeof step);
    return step;
  };
  CHECK(found({}) == DeviceQueue::none_bad);
  CHECK(found({{on_good.data(), 3000, 1}}) == DeviceQueue::none_bad);
  CHECK(found({{on_good.data(), 3000, 1}, {on_bad.data(), 3000, 7}, {on_large.data(), 3000, 5}}) == 5);
  CHECK(found({{on_bad.data(), 2999, 7}}) == DeviceQueue::none_bad);
  std::vector<wg::Watched> many(200, wg::Watched{on_good.data(), 3000, 1});
  many[150] = {on_bad.data(), 3000, 42};
  CHECK(found(many) == 42);
}

TEST_CASE("cuda device: the time between two events") {
  const auto device = runtime();
  const auto queue = device->make_queue();
  const Floats x(*device, 1000);
  const auto untimed = queue->record(), begin = queue->record_time();
  queue->fill(x.data(), 1, x.bytes());
  const auto end = queue->record_time();
  end->wait();
  CHECK(end->seconds_since(*begin) >= 0);
  CHECK(end->seconds_since(*begin) < 100);
  CHECK(begin->seconds_since(*end) <= 0);
  CHECK(message_of<wg::Error>([&] { end->seconds_since(*untimed); }) != "no error");
}
