// Who touched a word of memory last, and whether a barrier lies between: how races are found.
//
// Time is counted in intervals: a new one begins with each block and with each barrier of a block. Blocks run one after the other here, but on a
// device nothing orders them. So two accesses of one launch are ordered only within one block, and there if they lie in different intervals or
// are made by the same thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include <wengert/backends/cuda/emulator/thread_emulated.hpp>

namespace wengert::cuda::emulated {

// The first interval of the running launch, that of the running block, and the running one. 0 is before everything.
struct Clock {
  std::uint32_t launch = 1, block = 1, now = 1;
};

enum class Conflict : std::uint8_t { none, threads, blocks };

// The accesses of one kind to a place, as far as later ones may race with them. Of those of one interval the first thread is kept, and whether
// there were others; of those of earlier blocks, that there were some.
class Trace {
 public:
  bool in_block(const Clock& clock) const { return interval_ >= clock.block; }
  std::uint32_t interval() const { return interval_; }
  int thread() const { return who_ & thread_bits; }
  int line() const { return line_; }
  bool earlier_blocks() const { return (who_ & other_blocks) != 0; }

  // With an access by a thread now. An atomic one does not conflict with atomic ones.
  Conflict conflict(const Clock& clock, int thread, bool atomic) const {
    if (interval_ < clock.launch) return Conflict::none;
    if (interval_ < clock.block || (who_ & other_blocks) != 0) {
      return atomic && (who_ & plain_in_launch) == 0 ? Conflict::none : Conflict::blocks;
    }
    if (interval_ != clock.now || (who_ & (thread_bits | several)) == thread) return Conflict::none;
    return atomic && (who_ & plain_now) == 0 ? Conflict::none : Conflict::threads;
  }

  void add(const Clock& clock, int thread, bool atomic, int line) {
    const int plain = atomic ? 0 : plain_in_launch | plain_now;
    if (interval_ == clock.now) {
      const int more = plain | ((who_ & thread_bits) == thread ? 0 : several);
      if ((who_ & more) != more) who_ = static_cast<std::uint16_t>(who_ | more);
      return;
    }
    int before = 0;
    if (interval_ >= clock.launch) {
      before = who_ & (plain_in_launch | other_blocks);
      if (interval_ < clock.block) before |= other_blocks;
    }
    interval_ = clock.now;
    who_ = static_cast<std::uint16_t>(thread | plain | before);
    line_ = static_cast<std::uint16_t>(line);
  }

 private:
  static constexpr int thread_bits = 1023, several = 1 << 10, other_blocks = 1 << 11, plain_in_launch = 1 << 12, plain_now = 1 << 13;
  static_assert(thread_bits == most_threads - 1);

  std::uint32_t interval_ = 0;
  std::uint16_t who_ = 0, line_ = 0;
};

struct Cell {
  Trace write, read;

  // Notes an access, and says whether it races with an earlier one.
  Conflict touch(const Clock& clock, int thread, Access access, int line) {
    const bool atomic = access == Access::atomic;
    if (const Conflict found = write.conflict(clock, thread, atomic); found != Conflict::none) [[unlikely]]
      return found;
    if (access == Access::read) {
      read.add(clock, thread, false, line);
      return Conflict::none;
    }
    if (const Conflict found = read.conflict(clock, thread, false); found != Conflict::none) [[unlikely]]
      return found;
    write.add(clock, thread, atomic, line);
    return Conflict::none;
  }
};

// A Cell for every unit of memory that was ever asked for: a word or a byte, as the caller counts them.
class Shadow {
 public:
  // Of this unit and, up to the next multiple of 16, of those behind it.
  Cell* at(std::uintptr_t unit) {
    const std::uintptr_t page = unit / page_units;
    Near& near = near_[page % near_.size()];
    if (near.page != page) [[unlikely]]
      find(page, near);
    return near.cells + unit % page_units;
  }
  void clear();
  std::size_t bytes() const { return pages_.size() * page_units * sizeof(Cell); }

 private:
  static constexpr std::size_t page_units = 4096;
  using Page = std::array<Cell, page_units>;
  struct Near {  // pages that were found lately, by the low bits of their number
    std::uintptr_t page = UINTPTR_MAX;
    Cell* cells = nullptr;
  };
  void find(std::uintptr_t page, Near& near);

  std::array<Near, 1024> near_;
  std::unordered_map<std::uintptr_t, std::unique_ptr<Page>> pages_;
};

}  // namespace wengert::cuda::emulated
