// Indices of several axes that are counted up without divisions.
#pragma once

#include <wengert/backends/cuda/conv_tiling.hpp>
#include <wengert/backends/cuda/thread.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

struct Digits {
  int low, middle, high;
};

WENGERT_DEVICE Digits digits_of(const Counting& count, int number) {
  const int rest = number / count.low_count;
  return {number % count.low_count, rest % count.middle_count, rest / count.middle_count};
}

WENGERT_DEVICE void advance(const Counting& count, Digits& digits) {
  digits.low += count.low_step;
  digits.middle += count.middle_step;
  digits.high += count.high_step;
  if (digits.low >= count.low_count) digits.low -= count.low_count, ++digits.middle;
  if (digits.middle >= count.middle_count) digits.middle -= count.middle_count, ++digits.high;
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
