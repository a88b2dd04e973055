// Devices by name, those that are open, and what is said where a CUDA device can't be opened. No test here needs a GPU.
#include <doctest/doctest.h>

#include <memory>
#include <string>

#include <wengert/backends/cuda/messages.hpp>
#include <wengert/backends/cuda/open.hpp>
#include <wengert/engine/device.hpp>
#include <wengert/engine/error.hpp>

#include "ops_support.hpp"

namespace wg = wengert;
using wg::Device, wg::parse_device;
using wg::test::contains, wg::test::message_of;

namespace {

constexpr Device far_away{Device::Kind::cuda, 77};  // no machine has it

// A device on which nothing can be done.
class Idle final : public wg::DeviceRuntime {
 public:
  Device device() const override { return far_away; }
  std::string describe() const override { return "idle"; }
  void* allocate(wg::Index) override { return nullptr; }
  wg::Index free_bytes() const override { return 0; }
  void release(void*) noexcept override {}
  void* allocate_pinned(wg::Index) override { return nullptr; }
  void release_pinned(void*) noexcept override {}
  std::unique_ptr<wg::DeviceQueue> make_queue() override { return nullptr; }
  wg::DeviceQueue& queue() override { wg::fail("idle"); }
};

}  // namespace

TEST_CASE("cuda open: devices by name") {
  CHECK(parse_device("cpu") == Device{});
  CHECK(parse_device("cuda") == Device{Device::Kind::cuda, 0});
  CHECK(parse_device("cuda:0") == Device{Device::Kind::cuda, 0});
  CHECK(parse_device("cuda:12") == Device{Device::Kind::cuda, 12});
  for (const char* text : {"cpu", "cuda:0", "cuda:3"}) CHECK(wg::text_of(parse_device(text)) == text);
  for (const char* text : {"cuda:", "cuda:-1", "cuda:+1", "cuda:1x", "cuda: 1", "cuda:0.5", "cuda:99999999999"}) {
    CHECK(message_of([&] { parse_device(text); }) ==
          std::string("[device] wanted a number of 0 or more after 'cuda:', got '") + text + "'");
  }
  CHECK(message_of([] { parse_device("cude"); }) == "[device] wanted a device, got 'cude'; did you mean 'cuda'?");
  CHECK(message_of([] { parse_device("CPU"); }) == "[device] wanted a device, got 'CPU'; did you mean 'cpu'?");
  CHECK(message_of([] { parse_device("gpu"); }) == "[device] wanted a device, got 'gpu'; did you mean 'cuda'?");
  CHECK(message_of([] { parse_device("metal"); }) == "[device] wanted a device, got 'metal'; valid: cpu, cuda, cuda:0");
  CHECK(contains(message_of([] { parse_device(""); }), "wanted a device, got ''"));
}

TEST_CASE("cuda open: a device has to be opened, and can be closed") {
  CHECK(message_of([] { wg::device_runtime(far_away); }) == "[device] cuda:77 has not been opened: cuda_device(77) opens it");
  CHECK(contains(message_of([] { wg::device_runtime({}); }), "got cpu"));
  CHECK(contains(message_of([] { wg::open_device(nullptr); }), "wanted a runtime"));
  const auto idle = std::make_shared<Idle>();
  wg::open_device(idle);
  CHECK(wg::device_runtime(far_away) == idle);
  CHECK(wg::open_cuda_device(77) == far_away);  // it is open
  CHECK(wg::device_runtime(far_away) == idle);
  const auto other = std::make_shared<Idle>();
  wg::open_device(other);
  CHECK(wg::device_runtime(far_away) == other);
  CHECK(idle.use_count() == 1);
  wg::close_device(far_away);
  CHECK(other.use_count() == 1);
  CHECK(wg::find_device_runtime(far_away) == nullptr);
  wg::close_device(far_away);  // again
}

// On a machine with a GPU and a build for it this is a device; anywhere else one line says what is missing.
TEST_CASE("cuda open: a device, or one line that says why not") {
  const Device first{Device::Kind::cuda, 0};
  const std::shared_ptr<wg::DeviceRuntime> before = wg::find_device_runtime(first);  // that of tests/main.cpp
  wg::close_device(first);
  const std::string message = message_of([] { wg::open_cuda_device(); });
  MESSAGE(message);
  if (message == "no error") {
    CHECK(wg::open_cuda_device() == first);
    CHECK(contains(wg::device_runtime(first)->describe(), "compute capability"));
    CHECK(contains(message_of([] { wg::open_cuda_device(77); }), "[cuda:77] wanted a device's number below "));
    CHECK(contains(message_of([] { wg::open_cuda_device(-1); }), "wanted a device's number of 0 or more"));
  } else {
    CHECK_MESSAGE(message.rfind("[cuda:0] ", 0) == 0, message);
    CHECK_MESSAGE(!contains(message, "\n"), message);
    const bool known = contains(message, "this build has no CUDA (") || contains(message, "wanted to load '") ||
                       contains(message, "wanted an NVIDIA driver for CUDA ") || contains(message, "wanted a CUDA device, found none") ||
                       contains(message, "no kernels for compute capability");
    CHECK_MESSAGE(known, message);
    CHECK(message_of([] { wg::open_cuda_device(); }) == message);  // and again
    CHECK(wg::find_device_runtime(first) == nullptr);
  }
  wg::close_device(first);
  if (before) wg::open_device(before);
}

TEST_CASE("cuda open: what is said where a device can't be had") {
  using namespace wg::cuda;
  CHECK(bytes_text(512) == "512 bytes");
  CHECK(bytes_text(1536) == "1.5 KiB");
  CHECK(bytes_text(wg::Index{80} << 30) == "80.0 GiB");
  CHECK(free_text(wg::Index{3} << 20, wg::Index{2} << 40) == "3.0 MiB of 2.0 TiB are free");
  CHECK(old_driver_text(0, 13000) == "wanted an NVIDIA driver for CUDA 13.0 or newer, found none");
  CHECK(old_driver_text(12080, 13000) ==
        "wanted an NVIDIA driver for CUDA 13.0 or newer, found one for CUDA 12.8: update it, or build with that CUDA");
  CHECK(no_device_text(nullptr) == "wanted a CUDA device, found none");
  CHECK(no_device_text("3") == "wanted a CUDA device, found none (CUDA_VISIBLE_DEVICES is '3')");
  CHECK(no_such_device_text(-1, 0) == "wanted a device's number of 0 or more, got -1");
  CHECK(no_such_device_text(1, 1) == "wanted a device's number below 1, as this machine has 1 CUDA device");
  CHECK(no_such_device_text(4, 2) == "wanted a device's number below 2, as this machine has 2 CUDA devices");
  CHECK(no_image_text(7, 0, "7.5, 8.0 and newer ones") ==
        "no kernels for compute capability 7.0: this build has them for 7.5, 8.0 and newer ones (WENGERT_CUDA_ARCHITECTURES)");
  CHECK(contains(no_image_text(13, 0, "7.5", true), "; its driver is too old to compile the newest of them for it: update the driver"));
  CHECK(contains(lasting_text(2), "nothing more can be done on cuda:2 until it is reopened by a new process"));
}
