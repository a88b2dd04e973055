// What a plan looks at before parameters change: whether its values are finite, and so small that an update of them is too.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstring>

#include <wengert/engine/types.hpp>

namespace wengert::plan {

// Looked at by several workers at once.
class Guard {
 public:
  void reset() {
    bad_.store(-1, std::memory_order_relaxed);
    large_.store(false, std::memory_order_relaxed);
  }
  // Notes what of a step's result is not finite, or so large that an update made of it may not be.
  void look_at(DType dtype, const std::byte* data, Index bytes, int step) {
    if (dtype == DType::f64) {
      const auto* const values = reinterpret_cast<const double*>(data);
      const bool finite = std::all_of(values, values + bytes / size_of(dtype), [](double value) { return std::isfinite(value); });
      if (!finite) bad_.store(step, std::memory_order_relaxed);
    } else if (dtype == DType::f32) {
      const auto* const values = reinterpret_cast<const float*>(data);
      const Index count = bytes / size_of(dtype);
      if (all_below(many, values, count)) return;
      if (finite(values, count)) large_.store(true, std::memory_order_relaxed);
      else bad_.store(step, std::memory_order_relaxed);
    }
  }
  int bad_step() const { return bad_.load(std::memory_order_relaxed); }  // -1: none
  bool large() const { return large_.load(std::memory_order_relaxed); }

  static bool finite(const float* values, Index count) { return all_below(infinite, values, count); }

 private:
  // Bits of magnitudes in f32. From 2^24 on sums of products and squares of them may overflow; sound trainings stay far below.
  static constexpr std::uint32_t many = 0x4b800000u, infinite = 0x7f800000u;

  // Whether every magnitude is below the one with these bits; infinities and NaN come behind all.
  static bool all_below(std::uint32_t limit, const float* values, Index count) {
    const std::uint32_t rest = 0x80000000u - limit;
    std::uint32_t reached = 0;
    for (Index i = 0; i < count; ++i) {
      std::uint32_t bits;
      std::memcpy(&bits, values + i, sizeof bits);
      reached |= (bits & 0x7fffffffu) + rest;
    }
    return (reached >> 31) == 0;
  }

  std::atomic<int> bad_{-1};
  std::atomic<bool> large_{false};
};

}  // namespace wengert::plan
