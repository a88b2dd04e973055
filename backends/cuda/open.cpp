#include <wengert/backends/cuda/open.hpp>

#include <filesystem>
#include <mutex>

#include <dlfcn.h>

#include <fmt/format.h>

#include <wengert/backends/cuda/module.hpp>
#include <wengert/engine/error.hpp>

namespace wengert {
namespace {

namespace fs = std::filesystem;

constexpr const char* module_name = "libwengert_cuda.so";

// The module lies beside this library and stays loaded: its code may run until the process ends.
decltype(&wengert_cuda_open) load_module(const std::string& who) {
  Dl_info here{};
  fs::path module = module_name;
  if (dladdr(reinterpret_cast<const void*>(&load_module), &here) != 0 && here.dli_fname != nullptr) {
    std::error_code ignored;
    module = fs::canonical(here.dli_fname, ignored).parent_path() / module_name;
    if (!fs::exists(module, ignored)) {
      fail(fmt::format("[{}] this build has no CUDA ({} is not in '{}'): configure with -DWENGERT_CUDA=ON", who, module_name,
                       module.parent_path().string()));
    }
  }
  void* const handle = dlopen(module.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* const entry = handle != nullptr ? dlsym(handle, "wengert_cuda_open") : nullptr;
  if (entry == nullptr) {
    const char* const reason = dlerror();
    fail(fmt::format("[{}] wanted to load '{}', got: {}", who, module.string(), reason != nullptr ? reason : "no reason"));
  }
  return reinterpret_cast<decltype(&wengert_cuda_open)>(entry);
}

}  // namespace

Device open_cuda_device(int index) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  const Device device{Device::Kind::cuda, index};
  if (!find_device_runtime(device)) open_device(std::shared_ptr<DeviceRuntime>(load_module(text_of(device))(index)));
  return device;
}

}  // namespace wengert
