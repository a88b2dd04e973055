#include <wengert/backends/direct/target.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <wengert/engine/error.hpp>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/target.cpp>
#include <wengert/backends/direct/highway-inl.hpp>

namespace wengert::direct::HWY_NAMESPACE {
namespace {
constexpr std::int64_t bit = HWY_TARGET;
constexpr const char* target_name = HWY_TARGET == HWY_AVX3   ? "AVX-512"
                                    : HWY_TARGET == HWY_AVX2 ? "AVX2"
                                    : HWY_TARGET == HWY_SSE4 ? "SSE4"
                                                             : "NEON";
}  // namespace
}  // namespace wengert::direct::HWY_NAMESPACE

#if HWY_ONCE
#include <hwy/targets.h>
namespace wengert::direct {
namespace {

constexpr std::int64_t bits[] = WENGERT_EACH_TARGET(bit);
constexpr const char* names[] = WENGERT_EACH_TARGET(target_name);

struct Found {
  std::vector<std::string> names;
  std::vector<int> indices;  // of each name, among all compiled
};

const Found& found() {
  static const Found machine = [] {
    Found made;
    // Every 64-bit ARM has NEON. Highway wants AES beside it, which no kernel here uses, and a Raspberry Pi 4 lacks it.
    const std::int64_t supported = HWY_ARCH_ARM_A64 ? HWY_NEON : hwy::SupportedTargets();
    for (std::size_t i = 0; i < std::size(bits); ++i) {
      if (!(supported & bits[i])) continue;
      made.names.emplace_back(names[i]);
      made.indices.push_back(static_cast<int>(i));
    }
    if (made.names.empty())
      fail(fmt::format("[direct] wanted a processor with {} or better, got one without", names[std::size(names) - 1]));
    return made;
  }();
  return machine;
}

std::atomic<std::size_t>& chosen() {
  static std::atomic<std::size_t> position{0};  // in found()
  return position;
}

}  // namespace

const std::vector<std::string>& targets() { return found().names; }
const std::string& target() { return found().names[chosen().load(std::memory_order_relaxed)]; }
int target_index() { return found().indices[chosen().load(std::memory_order_relaxed)]; }

void set_target(const std::string& name) {
  const auto at = std::find(targets().begin(), targets().end(), name);
  if (at == targets().end())
    fail(fmt::format("[direct] wanted a vector target that this machine has, got '{}'{}", name, suggestion(name, targets())));
  chosen() = static_cast<std::size_t>(at - targets().begin());
}

}  // namespace wengert::direct
#endif
