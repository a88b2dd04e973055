// Devices beside the CPU: what the engine asks of one. backends/cuda opens the real ones; tests open one that is emulated on the host.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <wengert/engine/error.hpp>
#include <wengert/engine/types.hpp>

namespace wengert {

// What a queue has recorded between begin_capture() and end_capture(), to be replayed with one call (a CUDA graph).
class DeviceRecording {
 public:
  virtual ~DeviceRecording() = default;
};

// A point in a queue's work, to wait for.
class DeviceEvent {
 public:
  virtual ~DeviceEvent() = default;
  virtual void wait() = 0;  // the host waits
  // Of two of record_time(), of one device and both done: how long after the other the device came to this one.
  virtual double seconds_since(const DeviceEvent& earlier) const = 0;
};

// A value that must be finite before parameters change, and who made it.
struct Watched {
  const float* values = nullptr;
  Index count = 0;
  std::int32_t step = 0;
};

// Work for a device, done in the order in which it is given, beside that of other queues (a CUDA stream). All but wait(), download() and upload()
// return at once. Every call throws Error with the device's own message where something failed, perhaps only later. For one thread at a time.
class DeviceQueue {
 public:
  virtual ~DeviceQueue() = default;

  virtual void copy(void* to, const void* from, Index bytes) = 0;  // on the device
  virtual void fill(void* to, std::uint8_t value, Index bytes) = 0;
  // From the host. Pinned memory must stay as it is until the copy is done; other memory may be reused on return, for which it may wait.
  virtual void upload(void* to, const void* from, Index bytes) = 0;
  virtual void upload_pinned(void* to, const void* from, Index bytes) = 0;
  virtual void download(void* to, const void* from, Index bytes) = 0;  // to the host; waits

  virtual void wait() = 0;                // until all is done
  virtual std::int64_t work() const = 0;  // a number that grows with all that it is given, waits for events included
  virtual std::unique_ptr<DeviceEvent> record() = 0;
  virtual void record_again(DeviceEvent& event) = 0;  // an event of record(), of this device's: who waited for it before is not concerned
  virtual std::unique_ptr<DeviceEvent> record_time() = 0;  // the time too
  virtual void wait_for(const DeviceEvent& event) = 0;     // what is given later is done after it; the host goes on

  // Between these two, work is recorded and not done; other queues that wait for events of this one in between are recorded with it.
  virtual void begin_capture() = 0;
  virtual std::unique_ptr<DeviceRecording> end_capture() = 0;
  virtual void replay(const DeviceRecording& recording) = 0;

  // *flag = the least step of a value that is not finite or whose square is not, if it is less than *flag.
  virtual void watch(const std::vector<Watched>& values, std::int32_t* flag) = 0;
  // copy(), unless stop_flag says that nothing is to change.
  virtual void copy_unless_stopped(void* to, const void* from, Index bytes) = 0;
  // Such a flag, or null: updates of parameters do nothing where it is not none_bad.
  const std::int32_t* stop_flag = nullptr;
  static constexpr std::int32_t none_bad = 0x7fffffff;

  const char* node = "";  // for messages: whose work is being given, "[conv2d 'conv1' main.cpp:14]"
};

// The device has too little memory left.
class OutOfDeviceMemory : public Error {
 public:
  using Error::Error;
};

class DeviceRuntime {
 public:
  virtual ~DeviceRuntime() = default;

  virtual Device device() const = 0;
  virtual std::string describe() const = 0;  // "NVIDIA H100 80GB, compute capability 9.0, 79 GiB"
  // At least 256-byte aligned. Throws OutOfDeviceMemory, with what was asked, what is free and what there is.
  virtual void* allocate(Index bytes) = 0;
  virtual Index free_bytes() const = 0;             // about; others may take them
  virtual void release(void* memory) noexcept = 0;  // given to somebody else only behind all work that queues have by now
  virtual void* allocate_pinned(Index bytes) = 0;   // of the host, for upload_pinned()
  virtual void release_pinned(void* memory) noexcept = 0;
  virtual std::unique_ptr<DeviceQueue> make_queue() = 0;  // no queue outlives its runtime
  virtual DeviceQueue& queue() = 0;                       // what eager calls run on; it is not captured
};

// Makes a device known to the process, or replaces it: from then on tensors can live there.
void open_device(std::shared_ptr<DeviceRuntime> runtime);
void close_device(Device device);
std::shared_ptr<DeviceRuntime> device_runtime(Device device);       // throws Error where it has not been opened
std::shared_ptr<DeviceRuntime> find_device_runtime(Device device);  // null where it has not been opened

// What text_of() writes; "cuda" is cuda:0. Throws Error on other text. The device need not be open, nor exist.
Device parse_device(const std::string& text);

}  // namespace wengert
