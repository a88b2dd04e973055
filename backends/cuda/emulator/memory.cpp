#include <wengert/backends/cuda/emulator/memory.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

#include <sys/mman.h>

#include <wengert/engine/device.hpp>
#include <wengert/engine/error.hpp>

namespace wengert::cuda::emulated {
namespace {

constexpr std::size_t page_bytes = 4096;
constexpr std::size_t most_released = 8192;  // a process may have about 65,000 mappings

std::size_t mapped_bytes(const Memory::Region& region) {
  return std::max<std::size_t>(1, (region.end - region.begin + page_bytes - 1) / page_bytes) * page_bytes;
}

void* pointer(std::uintptr_t address) { return reinterpret_cast<void*>(address); }

// 12345 as "12,345".
std::string grouped(Index number) {
  std::string text = std::to_string(number);
  for (std::size_t i = text.size(); i > 3; i -= 3) text.insert(i - 3, ",");
  return text;
}

}  // namespace

Memory::~Memory() {
  for (const auto& [begin, region] : regions_) munmap(pointer(begin), mapped_bytes(region));
}

void* Memory::allocate(Index bytes) {
  if (bytes < 0) fail(who_ + " wanted a number of bytes, got " + std::to_string(bytes));
  const bool told_to_fail = fail_at_ > 0 && --fail_at_ == 0;
  const Index free = limit_ - used_;
  if (told_to_fail || bytes > free) {
    throw OutOfDeviceMemory(who_ + " out of memory: wanted " + grouped(bytes) + " bytes, " + grouped(told_to_fail ? 0 : free) + " of " +
                            grouped(limit_) + " bytes are free");
  }
  Region region{0, static_cast<std::uintptr_t>(bytes)};
  const std::size_t mapped = mapped_bytes(region);
  void* const memory = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail(who_ + " the host has no " + grouped(bytes) + " bytes for an emulated device");
  std::memset(memory, 0xff, mapped);
  if (hidden_ && !shown_) mprotect(memory, mapped, PROT_NONE);
  region.begin = reinterpret_cast<std::uintptr_t>(memory);
  region.end += region.begin;
  regions_[region.begin] = region;
  used_ += bytes;
  most_used_ = std::max(most_used_, used_);
  ++allocations_;
  return memory;
}

void Memory::leave(const void* address) {
  const auto found = regions_.find(reinterpret_cast<std::uintptr_t>(address));
  if (found == regions_.end()) fail(who_ + " wanted memory to release that was allocated here, got another address");
  if (found->second.leaving) fail(who_ + " memory is released twice");
  found->second.leaving = true;
}

void Memory::remove(const void* address) {
  Region& region = regions_.at(reinterpret_cast<std::uintptr_t>(address));
  region.released = true;
  used_ -= static_cast<Index>(region.end - region.begin);
  // The same addresses without their pages: who still reads them is stopped by the emulator, or by the system.
  mmap(pointer(region.begin), mapped_bytes(region), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  released_.push_back(region.begin);
  if (released_.size() <= most_released) return;
  const auto oldest = regions_.find(released_.front());
  munmap(pointer(oldest->first), mapped_bytes(oldest->second));
  regions_.erase(oldest);
  released_.pop_front();
}

void Memory::show() {
  if (!hidden_ || shown_) return;
  protect(PROT_READ | PROT_WRITE);
  shown_ = true;
}

void Memory::hide() noexcept {
  if (!hidden_ || !shown_) return;
  protect(PROT_NONE);
  shown_ = false;
}

void Memory::protect(int how) const {
  for (const auto& [begin, region] : regions_) {
    if (!region.released) mprotect(pointer(begin), mapped_bytes(region), how);
  }
}

void Memory::fail_at(Index calls) { fail_at_ = calls; }

const Memory::Region* Memory::find(std::uintptr_t address) const {
  auto after = regions_.upper_bound(address);
  if (after == regions_.begin()) return nullptr;
  const Region& region = std::prev(after)->second;
  return address < region.end ? &region : nullptr;
}

bool Memory::given(const void* address, Index bytes) const {
  return live(address, bytes) && !find(reinterpret_cast<std::uintptr_t>(address))->leaving;
}

bool Memory::live(const void* address, Index bytes) const {
  const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(address);
  const Region* const region = find(begin);
  return region != nullptr && !region->released && bytes >= 0 && static_cast<std::uintptr_t>(bytes) <= region->end - begin;
}

}  // namespace wengert::cuda::emulated
