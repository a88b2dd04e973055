// Where the elements of strided arrays lie: the host merges axes that continue each other, a thread finds its place without a division.
#pragma once

#include <array>
#include <string>

#include <wengert/backends/cuda/refusal.hpp>
#include <wengert/backends/cuda/thread.hpp>
#include <wengert/backends/naive/copy.hpp>
#include <wengert/engine/types.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

// Element numbers are 32 bits wide inside kernels that split them into axes.
constexpr Index most_elements = 0x7fffffff;

inline void want_elements(const Queue& queue, Index elements) {
  if (elements > most_elements) want(queue, "wanted at most 2^31 - 1 elements on a CUDA device, got " + std::to_string(elements));
}

// Division of n in [0, 2^31) by a number in [1, 2^31) that is known beforehand, as a product and a shift: Granlund and Montgomery, "Division
// by invariant integers using multiplication", PLDI 1994.
class Divisor {
 public:
  Divisor() = default;
  explicit Divisor(Index value) : value_(static_cast<std::uint32_t>(value)) {
    while ((Index{1} << shift_) < value) ++shift_;
    const std::uint64_t rest = (std::uint64_t{1} << shift_) - value_;
    multiplier_ = static_cast<std::uint32_t>((rest << 32) / value_ + 1);
  }

  WENGERT_DEVICE std::uint32_t value() const { return value_; }
  WENGERT_DEVICE std::uint32_t quotient(std::uint32_t n) const {
    return (static_cast<std::uint32_t>((std::uint64_t{n} * multiplier_) >> 32) + n) >> shift_;
  }
  // n becomes the quotient; the remainder is returned.
  WENGERT_DEVICE std::uint32_t split(std::uint32_t& n) const {
    const std::uint32_t whole = quotient(n), rest = n - whole * value_;
    n = whole;
    return rest;
  }

 private:
  std::uint32_t value_ = 1, multiplier_ = 1, shift_ = 0;
};

using naive::row_major;
using naive::Strides;  // 0 along an axis on which an array repeats

// Of an array of shape `own` that broadcasts to `walked` as NumPy does, along the axes of `walked`.
inline Strides broadcast_strides(const Shape& own, const Shape& walked) {
  Strides strides{};
  const Strides plain = row_major(own);
  const int missing = walked.rank() - own.rank();
  for (int axis = missing; axis < walked.rank(); ++axis) {
    if (own[axis - missing] != 1) strides[static_cast<std::size_t>(axis)] = plain[static_cast<std::size_t>(axis - missing)];
  }
  return strides;
}

// The places of a box's elements in some arrays. Elements are numbered row-major.
template <int arrays>
class Axes {
 public:
  Axes() = default;
  // The strides of each array along the axes of the box. No axis is larger than 2^31 - 1.
  Axes(const Shape& box, const std::array<Strides, arrays>& strides) {
    for (int axis = box.rank() - 1; axis >= 0; --axis) {
      std::array<Index, arrays> steps;
      for (std::size_t a = 0; a < arrays; ++a) steps[a] = strides[a][static_cast<std::size_t>(axis)];
      push(box[axis], steps);
    }
    for (int axis = 0; axis < depth_; ++axis) divisor_[axis] = Divisor(size_[axis]);
  }

  // The offset in each array of element n of the box.
  WENGERT_DEVICE void place(std::uint32_t n, Index* offsets) const {
    for (int a = 0; a < arrays; ++a) offsets[a] = 0;
    for (int axis = 0; axis < depth_; ++axis) {
      const std::uint32_t i = axis == depth_ - 1 ? n : divisor_[axis].split(n);
      for (int a = 0; a < arrays; ++a) offsets[a] += i * step_[axis][a];
    }
  }

  // Axes that are left, innermost first, without those of size 1.
  int depth() const { return depth_; }
  Index size(int axis) const { return size_[axis]; }
  Index step(int axis, int array) const { return step_[axis][array]; }
  bool contiguous(int array) const { return depth_ == 0 || (depth_ == 1 && step_[0][array] == 1); }

 private:
  void push(Index size, const std::array<Index, arrays>& steps) {
    if (size <= 1) return;  // of an empty box no element is asked for
    if (depth_ > 0) {
      const int inner = depth_ - 1;
      bool continues = true;
      for (std::size_t a = 0; a < arrays; ++a) continues = continues && steps[a] == step_[inner][a] * size_[inner];
      if (continues) {
        size_[inner] *= size;
        return;
      }
    }
    size_[depth_] = size;
    for (std::size_t a = 0; a < arrays; ++a) step_[depth_][a] = steps[a];
    ++depth_;
  }

  int depth_ = 0;
  Divisor divisor_[Shape::max_rank] = {};
  Index size_[Shape::max_rank] = {};
  Index step_[Shape::max_rank][arrays] = {};
};

// How many elements of an array a box may touch: one behind its last.
inline Index extent(const Shape& box, const Strides& strides) {
  Index last = 0;
  for (int axis = 0; axis < box.rank(); ++axis) last += (box[axis] - 1) * strides[static_cast<std::size_t>(axis)];
  return box.elements() == 0 ? 0 : last + 1;
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
