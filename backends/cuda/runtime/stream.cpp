#include <wengert/backends/cuda/runtime/stream.cuh>

#include <wengert/backends/cuda/functions.hpp>
#include <wengert/backends/cuda/runtime/runtime.cuh>
#include <wengert/engine/error.hpp>

namespace wengert::cuda {
namespace {

OwnedEvent make_event(const Caller& caller, unsigned flags = cudaEventDisableTiming) {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, flags), caller, "an event");
  return OwnedEvent(event);
}

class Event final : public DeviceEvent {
 public:
  Event(const Caller& caller, unsigned flags)
      : device_(caller.device), timed_(flags != cudaEventDisableTiming), event_(make_event(caller, flags)) {}
  void wait() override { check(cudaEventSynchronize(event_.get()), Caller{device_}, "to wait for an event"); }
  double seconds_since(const DeviceEvent& earlier) const override {
    const auto* const own = dynamic_cast<const Event*>(&earlier);
    if (own == nullptr || own->device_ != device_ || !own->timed_ || !timed_)
      fail(Caller{device_}.text() + " wanted the time between two events of record_time() of this device");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, own->get(), event_.get()), Caller{device_}, "the time between two events");
    return static_cast<double>(milliseconds) * 1e-3;
  }
  cudaEvent_t get() const { return event_.get(); }

 private:
  int device_;
  bool timed_;
  OwnedEvent event_;
};

struct Recording final : DeviceRecording {
  OwnedGraphExec graph;
};

}  // namespace

Stream::Stream(Runtime& runtime, Role role) : runtime_(runtime), role_(role) {
  runtime_.make_current();
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), caller(), "a stream");
  stream_.reset(stream);
  fence_ = make_event(caller());
  if (role_ == Role::other) runtime_.add(*this);
}

Stream::~Stream() {
  runtime_.try_make_current();
  if (captured()) {
    cudaGraph_t graph = nullptr;
    cudaStreamEndCapture(stream_.get(), &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
  }
  if (role_ == Role::other) {
    runtime_.remove(*this);
    runtime_.keep(std::move(blas_));
    runtime_.release(blas_workspace_);
  }
  cudaGetLastError();
}

Caller Stream::caller() const { return {runtime_.index(), node}; }

cudaStream_t Stream::ready() {
  runtime_.make_current();
  if (const std::int64_t allocations = runtime_.allocations();
      role_ == Role::other && allocations != allocations_ && runtime_.let_use_memory(*this)) {
    allocations_ = allocations;
  }
  return stream_.get();
}

cudaStream_t Stream::for_work() {
  work_.fetch_add(1, std::memory_order_relaxed);
  return ready();
}

void Stream::copy(void* to, const void* from, Index bytes) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToDevice, for_work()), caller(), "to copy");
}

void Stream::fill(void* to, std::uint8_t value, Index bytes) {
  if (bytes == 0) return;
  check(cudaMemsetAsync(to, value, static_cast<std::size_t>(bytes), for_work()), caller(), "to fill");
}

// The call may return before memory that is not pinned was read (CUDA Runtime API, "API synchronization behavior").
void Stream::upload(void* to, const void* from, Index bytes) {
  refuse_captured("to upload memory that is not pinned");
  upload_pinned(to, from, bytes);
  wait();
}

void Stream::upload_pinned(void* to, const void* from, Index bytes) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice, for_work()), caller(), "to upload");
}

void Stream::download(void* to, const void* from, Index bytes) {
  refuse_captured("to download");
  if (bytes != 0) {
    check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost, ready()), Caller{runtime_.index()},
          "to download");
  }
  wait();
}

void Stream::wait() { check(cudaStreamSynchronize(ready()), Caller{runtime_.index()}, "to wait for a queue"); }

std::unique_ptr<DeviceEvent> Stream::record(unsigned flags) {
  const cudaStream_t stream = ready();
  auto event = std::make_unique<Event>(caller(), flags);
  check(cudaEventRecord(event->get(), stream), Caller{runtime_.index()}, "to record an event");
  return event;
}

void Stream::record_again(DeviceEvent& event) {
  auto* const own = dynamic_cast<Event*>(&event);
  if (own == nullptr) fail(caller().text() + " wanted to record an event of a CUDA queue again, got another's");
  check(cudaEventRecord(own->get(), ready()), Caller{runtime_.index()}, "to record an event");
}

void Stream::wait_for(const DeviceEvent& event) {
  const auto* const own = dynamic_cast<const Event*>(&event);
  if (own == nullptr) fail(caller().text() + " wanted to wait for an event of a CUDA queue, got another's");
  const cudaStream_t stream = for_work();
  const std::lock_guard lock(runtime_.mutex());  // this may begin a capture
  check(cudaStreamWaitEvent(stream, own->get(), 0), Caller{runtime_.index()}, "to wait for an event");
  if (role_ == Role::of_memory && captured()) fail(caller().text() + " wanted to record on queues of make_queue(), got queue()");
}

bool Stream::captured() const {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  return cudaStreamIsCapturing(stream_.get(), &status) == cudaSuccess && status != cudaStreamCaptureStatusNone;
}

void Stream::refuse_captured(const char* wanted) const {
  if (captured()) fail(caller().text() + " wanted " + wanted + " between begin_capture() and end_capture(), where that can't be recorded");
}

void Stream::begin_capture() {
  if (role_ == Role::of_memory) fail(caller().text() + " wanted to record on a queue of make_queue(), got queue()");
  const cudaStream_t stream = ready();
  const std::lock_guard lock(runtime_.mutex());
  // Relaxed: a kernel is loaded where it is launched first, and that may be within a recording.
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), caller(), "to begin a recording");
}

std::unique_ptr<DeviceRecording> Stream::end_capture() {
  runtime_.make_current();
  cudaGraph_t raw = nullptr;
  const cudaError_t error = cudaStreamEndCapture(stream_.get(), &raw);
  const OwnedGraph graph(raw);
  const Caller who{runtime_.index()};
  check(error, who, "to end a recording");
  cudaGraphExec_t exec = nullptr;
  check(cudaGraphInstantiate(&exec, graph.get(), 0), who, "to make a recording replayable");
  auto recording = std::make_unique<Recording>();
  recording->graph.reset(exec);
  check(cudaGraphUpload(exec, ready()), who, "to upload a recording");
  return recording;
}

void Stream::replay(const DeviceRecording& recording) {
  const auto* const own = dynamic_cast<const Recording*>(&recording);
  if (own == nullptr) fail(caller().text() + " wanted a recording of a CUDA queue, got another's");
  check(cudaGraphLaunch(own->graph.get(), for_work()), Caller{runtime_.index()}, "to replay a recording");
}

std::shared_ptr<void> Stream::cudnn(const std::function<std::shared_ptr<void>()>& make) {
  const std::lock_guard lock(runtime_.mutex());
  if (!cudnn_) cudnn_ = make();
  return cudnn_;
}

const Functions& Stream::functions() const { return device_functions(); }

}  // namespace wengert::cuda
