// The memory of an emulated device: host memory that remembers what was given out and what was taken back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>

#include <wengert/engine/types.hpp>

namespace wengert::cuda::emulated {

// Pieces begin at pages of their own. New ones hold bytes 0xff, which is NaN as a float; addresses that were released are not given out again
// for long, and the host cannot touch them.
class Memory {
 public:
  struct Region {
    std::uintptr_t begin = 0, end = 0;
    bool leaving = false;   // taken back, while earlier work may still use it
    bool released = false;  // nobody may use it any more
  };

  // `who` begins the messages: "[cuda:0]". The limit counts the bytes asked for. What is hidden can be touched only between show() and hide().
  Memory(std::string who, Index limit, bool hidden) : who_(std::move(who)), limit_(limit), hidden_(hidden) {}
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  void* allocate(Index bytes);  // throws OutOfDeviceMemory where the limit is reached, or in the call that fail_at() named
  Index free() const { return limit_ - used_; }
  bool fits(Index bytes) const { return bytes <= free(); }
  void fail_at(Index calls);         // the so many-th allocation from now on, 1: the next one; 0: none
  void leave(const void* address);   // throws Error where that is not the beginning of a live piece
  void remove(const void* address);  // of one that is leaving

  // The piece that holds this address, live or released not long ago; null where none does.
  const Region* find(std::uintptr_t address) const;
  bool live(const void* address, Index bytes) const;   // all of it, in one piece; earlier work may use it
  bool given(const void* address, Index bytes) const;  // the same, and it is not leaving

  void show();
  void hide() noexcept;

  Index used() const { return used_; }
  Index most_used() const { return most_used_; }
  Index allocations() const { return allocations_; }  // calls that succeeded

 private:
  void protect(int how) const;

  std::string who_;
  Index limit_, used_ = 0, most_used_ = 0, allocations_ = 0, fail_at_ = 0;
  bool hidden_, shown_ = false;
  std::map<std::uintptr_t, Region> regions_;
  std::deque<std::uintptr_t> released_;  // oldest first
};

}  // namespace wengert::cuda::emulated
