#include <wengert/backends/cuda/messages.hpp>

#include <fmt/format.h>

namespace wengert::cuda {

std::string bytes_text(Index bytes) {
  constexpr double step = 1024;
  if (bytes < Index{1} << 10) return fmt::format("{} bytes", bytes);
  double amount = static_cast<double>(bytes) / step;
  const char* unit = "KiB";
  for (const char* const larger : {"MiB", "GiB", "TiB"}) {
    if (amount < step) break;
    amount /= step;
    unit = larger;
  }
  return fmt::format("{:.1f} {}", amount, unit);
}

std::string version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

std::string free_text(Index free, Index total) { return fmt::format("{} of {} are free", bytes_text(free), bytes_text(total)); }

std::string old_driver_text(int driver, int wanted) {
  const std::string found =
      driver == 0 ? "found none" : "found one for CUDA " + version_text(driver) + ": update it, or build with that CUDA";
  return fmt::format("wanted an NVIDIA driver for CUDA {} or newer, {}", version_text(wanted), found);
}

std::string no_device_text(const char* visible) {
  return std::string("wanted a CUDA device, found none") +
         (visible == nullptr ? "" : fmt::format(" (CUDA_VISIBLE_DEVICES is '{}')", visible));
}

std::string no_such_device_text(int index, int count) {
  if (index < 0) return fmt::format("wanted a device's number of 0 or more, got {}", index);
  return fmt::format("wanted a device's number below {}, as this machine has {} CUDA device{}", count, count, count == 1 ? "" : "s");
}

std::string no_image_text(int major, int minor, const std::string& built, bool driver_is_old) {
  return fmt::format("no kernels for compute capability {}.{}: this build has them for {} (WENGERT_CUDA_ARCHITECTURES){}", major, minor,
                     built, driver_is_old ? "; its driver is too old to compile the newest of them for it: update the driver" : "");
}

std::string lasting_text(int device) {
  return fmt::format(
      ", of this or earlier work (CUDA_LAUNCH_BLOCKING=1 tells which); nothing more can be done on cuda:{} until it is reopened by a new "
      "process",
      device);
}

}  // namespace wengert::cuda
