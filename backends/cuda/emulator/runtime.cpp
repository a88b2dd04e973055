#include <wengert/backends/cuda/emulator/runtime.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include <wengert/backends/cuda/emulator/emulator.hpp>
#include <wengert/backends/cuda/emulator/memory.hpp>
#include <wengert/backends/cuda/emulator/product.hpp>
#include <wengert/backends/cuda/emulator/timeline.hpp>
#include <wengert/backends/cuda/functions.hpp>
#include <wengert/engine/error.hpp>

namespace wengert::cuda {
namespace {

using namespace emulated;

// What the runtime, its queues and their events share; all of it is used under the mutex, work of the queues included.
struct Core {
  explicit Core(const EmulatorOptions& chosen)
      : options(chosen),
        who("[cuda:" + std::to_string(chosen.index) + "]"),
        threads(chosen.order, chosen.seed),
        lanes(chosen.order, chosen.seed + 1),
        memory(who, chosen.memory, chosen.hidden),
        pinned(who + " pinned memory:", Index{1} << 40, false),
        timeline(who, lanes, chosen.eager) {}

  // Throws Error where these bytes are not the device's, for a call or, later, for its work.
  void check(const void* address, Index bytes, const char* call, bool later) const {
    if (bytes < 0) fail(who + " " + call + ": wanted a number of bytes, got " + std::to_string(bytes));
    if (!options.known_memory || bytes == 0) return;
    if (later ? memory.live(address, bytes) : memory.given(address, bytes)) return;
    const Memory::Region* const region = memory.find(reinterpret_cast<std::uintptr_t>(address));
    const std::string got = region == nullptr ? "an address that was never allocated"
                            : region->leaving ? "memory that was released"
                                              : "memory that ends before";
    fail(who + " " + call + ": wanted " + std::to_string(bytes) + " bytes of the device's memory, got " + got);
  }
  void check_pinned(const void* address, Index bytes, const char* call) const {
    if (bytes == 0 || pinned.live(address, bytes)) return;
    fail(who + " " + call + ": wanted " + std::to_string(bytes) + " bytes of pinned memory, got other memory, or some that was released");
  }

  const EmulatorOptions options;
  const std::string who;
  std::mutex mutex;
  Schedule threads, lanes;
  Memory memory, pinned;
  EmulatorCounts counts;
  Timeline timeline;
};

// Inside the core. Work of the queues shows the device's memory, which is hidden at the end.
class Entry {
 public:
  explicit Entry(Core& core) : lock_(core.mutex), memory_(core.memory) {}
  ~Entry() { memory_.hide(); }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

 private:
  const std::lock_guard<std::mutex> lock_;
  Memory& memory_;
};

void copy_bytes(void* to, const void* from, Index bytes) {
  if (bytes > 0) std::memcpy(to, from, static_cast<std::size_t>(bytes));
}

using Time = std::chrono::steady_clock::time_point;

class EmulatedEvent final : public DeviceEvent {
 public:
  EmulatedEvent(std::shared_ptr<Core> core, Mark mark, std::shared_ptr<const Time> time)
      : core_(std::move(core)), mark_(std::move(mark)), time_(std::move(time)) {}

  void wait() override {
    const Entry entry(*core_);
    ++core_->counts.waits;
    core_->timeline.finish(mark_, "an event's wait()");
  }
  double seconds_since(const DeviceEvent& earlier) const override {
    const auto* const own = dynamic_cast<const EmulatedEvent*>(&earlier);
    const Entry entry(*core_);
    if (own == nullptr || own->core_ != core_ || !own->time_ || !time_)
      fail(core_->who + " wanted the time between two events of record_time() of this device");
    if (*own->time_ == Time{} || *time_ == Time{}) fail(core_->who + " seconds_since(): wanted events that are done");
    return std::chrono::duration<double>(*time_ - *own->time_).count();
  }
  const Core& core() const { return *core_; }
  const Mark& mark() const { return mark_; }
  void set_mark(Mark mark) { mark_ = std::move(mark); }

 private:
  std::shared_ptr<Core> core_;
  Mark mark_;
  std::shared_ptr<const Time> time_;  // when the device came to it; null where nobody may ask
};

class EmulatedQueue final : public Queue {
 public:
  EmulatedQueue(std::shared_ptr<Core> core, bool captures) : core_(std::move(core)), captures_(captures) {
    const Entry entry(*core_);
    lane_ = core_->timeline.make_lane();
  }
  ~EmulatedQueue() override {
    const Entry entry(*core_);
    core_->timeline.leave(lane_);
    lane_.reset();
  }
  EmulatedQueue(const EmulatedQueue&) = delete;
  EmulatedQueue& operator=(const EmulatedQueue&) = delete;

  const Functions& functions() const override { return emulated_functions(); }

  void copy(void* to, const void* from, Index bytes) override {
    const Entry entry(*core_);
    const auto checked = [core = core_.get(), to, from, bytes](bool later) {
      core->check(to, bytes, "copy", later);
      core->check(from, bytes, "copy", later);
    };
    checked(false);
    const std::uintptr_t a = reinterpret_cast<std::uintptr_t>(to), b = reinterpret_cast<std::uintptr_t>(from);
    const std::uintptr_t distance = a < b ? b - a : a - b;
    if (bytes > 0 && distance < static_cast<std::uintptr_t>(bytes)) fail(core_->who + " copy: wanted memory that does not overlap");
    ++core_->counts.copies;
    give([checked, to, from, bytes] { checked(true), copy_bytes(to, from, bytes); });
  }

  void fill(void* to, std::uint8_t value, Index bytes) override {
    const Entry entry(*core_);
    const auto checked = [core = core_.get(), to, bytes](bool later) { core->check(to, bytes, "fill", later); };
    checked(false);
    ++core_->counts.fills;
    give([checked, to, value, bytes] {
      checked(true);
      if (bytes > 0) std::memset(to, value, static_cast<std::size_t>(bytes));
    });
  }

  void upload(void* to, const void* from, Index bytes) override {
    const Entry entry(*core_);
    const auto checked = [core = core_.get(), to, bytes](bool later) { core->check(to, bytes, "upload", later); };
    checked(false);
    core_->timeline.refuse_captured(lane_, "upload() of memory that is not pinned");
    ++core_->counts.uploads;
    const char* const begin = static_cast<const char*>(from);
    give([checked, to, kept = std::vector<char>(begin, begin + bytes)] {
      checked(true);
      copy_bytes(to, kept.data(), static_cast<Index>(kept.size()));
    });
  }

  void upload_pinned(void* to, const void* from, Index bytes) override {
    const Entry entry(*core_);
    const auto checked = [core = core_.get(), to, from, bytes](bool later) {
      core->check(to, bytes, "upload_pinned", later);
      core->check_pinned(from, bytes, "upload_pinned");
    };
    checked(false);
    ++core_->counts.uploads;
    give([checked, to, from, bytes] { checked(true), copy_bytes(to, from, bytes); });
  }

  void download(void* to, const void* from, Index bytes) override {
    const Entry entry(*core_);
    core_->check(from, bytes, "download", false);
    core_->timeline.refuse_captured(lane_, "download()");
    ++core_->counts.downloads;
    core_->timeline.finish(core_->timeline.mark(lane_), "download()");
    core_->check(from, bytes, "download", true);
    core_->memory.show();
    copy_bytes(to, from, bytes);
  }

  void wait() override {
    const Entry entry(*core_);
    ++core_->counts.waits;
    core_->timeline.finish(core_->timeline.mark(lane_), "wait()");
  }

  std::int64_t work() const override { return work_; }

  std::unique_ptr<DeviceEvent> record() override {
    const Entry entry(*core_);
    return std::make_unique<EmulatedEvent>(core_, core_->timeline.mark(lane_), nullptr);
  }

  void record_again(DeviceEvent& event) override {
    auto* const own = dynamic_cast<EmulatedEvent*>(&event);
    if (own == nullptr || &own->core() != core_.get()) fail(core_->who + " record_again(): wanted an event of this device");
    const Entry entry(*core_);
    own->set_mark(core_->timeline.mark(lane_));
  }

  std::unique_ptr<DeviceEvent> record_time() override {
    const Entry entry(*core_);
    const auto time = std::make_shared<Time>();
    give([time] { *time = std::chrono::steady_clock::now(); });
    return std::make_unique<EmulatedEvent>(core_, core_->timeline.mark(lane_), time);
  }

  void wait_for(const DeviceEvent& event) override {
    const auto* const own = dynamic_cast<const EmulatedEvent*>(&event);
    if (own == nullptr || &own->core() != core_.get()) fail(core_->who + " wait_for(): wanted an event of this device");
    const Entry entry(*core_);
    if (!captures_ && own->mark().capture) {
      fail(core_->who + " wait_for(): wanted a queue of make_queue() to join a capture, got queue()");
    }
    core_->timeline.wait_for(lane_, own->mark());
    ++work_;
  }

  void begin_capture() override {
    const Entry entry(*core_);
    if (!captures_) fail(core_->who + " begin_capture(): wanted a queue of make_queue(), got queue()");
    core_->timeline.begin_capture(lane_);
  }

  std::unique_ptr<DeviceRecording> end_capture() override {
    const Entry entry(*core_);
    return core_->timeline.end_capture(lane_);
  }

  void replay(const DeviceRecording& recording) override {
    const Entry entry(*core_);
    ++core_->counts.replays;
    core_->timeline.replay(lane_, recording);
    ++work_;
  }

  void gemm(const Product& product, float alpha, const float* a, const float* b, float beta, float* c) override {
    const Entry entry(*core_);
    const ProductExtents extents = check_product(product, *node != '\0' ? core_->who + " " + node : core_->who);
    const auto checked = [core = core_.get(), extents, a, b, c](bool later) {
      constexpr Index size = sizeof(float);
      core->check(a, extents.a * size, "gemm, a", later);
      core->check(b, extents.b * size, "gemm, b", later);
      core->check(c, extents.c * size, "gemm, c", later);
    };
    checked(false);
    ++core_->counts.products;
    give([checked, product, alpha, a, b, beta, c] { checked(true), reference_product(product, alpha, a, b, beta, c); });
  }

  void launch(Launch launch, const char* type) {
    const Entry entry(*core_);
    check_grid(launch);
    ++core_->counts.launches;
    Grid& most = core_->counts.most[type];
    most.threads = std::max(most.threads, launch.grid.threads);
    most.shared_bytes = std::max(most.shared_bytes, launch.grid.shared_bytes);
    if (core_->options.idle) return;
    give([core = core_.get(), launch = std::move(launch)] {
      run(launch, core->threads, core->options.known_memory ? &core->memory : nullptr);
      ++core->counts.kernels[launch.kernel];
    });
  }

 private:
  void give(Work work) {
    ++work_;
    core_->timeline.give(lane_, [memory = &core_->memory, work = std::move(work)] { memory->show(), work(); });
  }

  std::shared_ptr<Core> core_;
  LanePointer lane_;
  bool captures_;  // false for the runtime's own
  std::atomic<std::int64_t> work_{0};
};

class EmulatedRuntime final : public DeviceRuntime {
 public:
  explicit EmulatedRuntime(const EmulatorOptions& options) : core_(std::make_shared<Core>(options)), queue_(core_, false) {}

  Device device() const override { return {Device::Kind::cuda, core_->options.index}; }
  std::string describe() const override { return "emulated CUDA device"; }

  void* allocate(Index bytes) override {
    const Entry entry(*core_);
    refuse_captures("allocate()");
    if (!core_->memory.fits(bytes)) core_->timeline.finish_all();  // some may be leaving
    return core_->memory.allocate(bytes);
  }
  Index free_bytes() const override {
    const Entry entry(*core_);
    return core_->memory.free();
  }
  void release(void* memory) noexcept override {
    release_in(core_->memory, memory,
               [this, memory] { core_->timeline.after_all([core = core_.get(), memory] { core->memory.remove(memory); }); });
  }
  void* allocate_pinned(Index bytes) override {
    const Entry entry(*core_);
    refuse_captures("allocate_pinned()");
    try {
      return core_->pinned.allocate(bytes);
    } catch (const OutOfDeviceMemory& error) {
      fail(error.what());
    }
  }
  void release_pinned(void* memory) noexcept override {
    release_in(core_->pinned, memory, [this, memory] { core_->pinned.remove(memory); });
  }

  std::unique_ptr<DeviceQueue> make_queue() override { return std::make_unique<EmulatedQueue>(core_, true); }
  DeviceQueue& queue() override { return queue_; }

  Core& core() const { return *core_; }

 private:
  void refuse_captures(const char* call) {
    if (core_->timeline.break_captures(call)) fail(core_->who + " " + call + " during a capture");
  }
  template <class Remove>
  void release_in(Memory& memory, void* address, const Remove& remove) noexcept {
    if (address == nullptr) return;
    const Entry entry(*core_);
    try {
      memory.leave(address);
      remove();
    } catch (...) {
      core_->timeline.keep(std::current_exception());
    }
  }

  std::shared_ptr<Core> core_;
  EmulatedQueue queue_;
};

Core& core_of(const DeviceRuntime& runtime) {
  const auto* const own = dynamic_cast<const EmulatedRuntime*>(&runtime);
  if (own == nullptr) fail("[emulator] wanted an emulated device, got " + runtime.describe());
  return own->core();
}

}  // namespace

std::shared_ptr<DeviceRuntime> emulated_runtime(const EmulatorOptions& options) { return std::make_shared<EmulatedRuntime>(options); }

EmulatorCounts emulator_counts(const DeviceRuntime& runtime) {
  Core& core = core_of(runtime);
  const Entry entry(core);
  EmulatorCounts counts = core.counts;
  counts.allocations = core.memory.allocations();
  counts.pinned_allocations = core.pinned.allocations();
  counts.bytes = core.memory.used();
  counts.most_bytes = core.memory.most_used();
  return counts;
}

void fail_allocation(DeviceRuntime& runtime, Index calls) {
  Core& core = core_of(runtime);
  const Entry entry(core);
  core.memory.fail_at(calls);
}

void fail_pinned_allocation(DeviceRuntime& runtime, Index calls) {
  Core& core = core_of(runtime);
  const Entry entry(core);
  core.pinned.fail_at(calls);
}

namespace emulated {

void launch_on(Queue& queue, const char* kernel, const char* type, const Grid& grid, std::function<void(Thread&)> body) {
  auto* const own = dynamic_cast<EmulatedQueue*>(&queue);
  if (own == nullptr) fail("[" + std::string(kernel) + "] wanted a queue of an emulated device");
  own->launch({queue.node, kernel, grid, std::move(body)}, type);
}

}  // namespace emulated
}  // namespace wengert::cuda
