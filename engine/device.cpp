#include <wengert/engine/device.hpp>

#include <charconv>
#include <map>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>

namespace wengert {
namespace {

struct OpenDevices {
  std::mutex mutex;
  std::map<std::pair<Device::Kind, int>, std::shared_ptr<DeviceRuntime>> runtimes;
};

// Never destroyed: when a process ends, the device's own library may already be gone.
OpenDevices& open_devices() {
  static OpenDevices& all = *new OpenDevices;
  return all;
}

// Puts another runtime, or none, in a device's place; the old one is let go outside the lock.
void replace(Device device, std::shared_ptr<DeviceRuntime> runtime) {
  OpenDevices& open = open_devices();
  const std::lock_guard lock(open.mutex);
  std::swap(open.runtimes[{device.kind, device.index}], runtime);
}

}  // namespace

void open_device(std::shared_ptr<DeviceRuntime> runtime) {
  if (!runtime) fail("[device] wanted a runtime to open, got none");
  const Device device = runtime->device();
  if (device.kind == Device::Kind::cpu) fail("[device] wanted the runtime of a device beside the CPU, got one of cpu");
  replace(device, std::move(runtime));
}

void close_device(Device device) { replace(device, nullptr); }

std::shared_ptr<DeviceRuntime> find_device_runtime(Device device) {
  OpenDevices& open = open_devices();
  const std::lock_guard lock(open.mutex);
  const auto found = open.runtimes.find({device.kind, device.index});
  return found == open.runtimes.end() ? nullptr : found->second;
}

std::shared_ptr<DeviceRuntime> device_runtime(Device device) {
  if (device.kind == Device::Kind::cpu) fail("[device] wanted a device beside the CPU, got cpu, which has no runtime");
  std::shared_ptr<DeviceRuntime> runtime = find_device_runtime(device);
  if (!runtime)
    fail(fmt::format("[device] {} has not been opened: {}_device({}) opens it", text_of(device), name(device.kind), device.index));
  return runtime;
}

Device parse_device(const std::string& text) {
  if (text == "cpu") return {};
  if (text == "cuda") return {Device::Kind::cuda, 0};
  const std::string numbered = "cuda:";
  if (text.rfind(numbered, 0) == 0) {
    int index = -1;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + numbered.size(), end, index);
    if (error == std::errc() && stop == end && index >= 0) return {Device::Kind::cuda, index};
    fail("[device] wanted a number of 0 or more after 'cuda:', got '" + text + "'");
  }
  const std::string valid[] = {"cpu", "cuda", "cuda:0"};
  // 'gpu' is one letter from 'cpu', and is not what was meant.
  const std::string meant = text.rfind("gpu", 0) == 0 ? "; did you mean 'cuda'?" : suggestion(text, valid);
  fail("[device] wanted a device, got '" + text + "'" + meant);
}

}  // namespace wengert
