// Counts and sums over a batch by one block: there is little to do, and one block adds in one order.
#pragma once

#include <wengert/backends/cuda/metrics.hpp>
#include <wengert/backends/cuda/thread.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

constexpr int metrics_threads = 512;

// The sum of one value a thread, in thread 0.
template <class T>
WENGERT_DEVICE T sum_block(const Thread& thread, T value) {
  const Shared<T> sums = thread.shared<T>(0, thread.size());
  sums.store(thread.index(), value);
  for (int half = thread.size() / 2; half > 0; half /= 2) {
    thread.barrier();
    if (thread.index() >= half) continue;
    value += sums.load(thread.index() + half);
    sums.store(thread.index(), value);
  }
  return value;
}

struct CountRight {
  Global<const float> logits;
  Global<const std::int32_t> labels;
  Global<std::int32_t> right;
  Index rows = 0, classes = 0;
  bool add = false;

  // A NaN is never larger, and none is larger than a NaN in front.
  WENGERT_DEVICE Index guess(Index row) const {
    Index best = 0;
    float largest = logits.load(row * classes);
    for (Index c = 1; c < classes; ++c) {
      const float value = logits.load(row * classes + c);
      if (largest < value) largest = value, best = c;
    }
    return best;
  }
  WENGERT_DEVICE void operator()(Thread& thread) const {
    std::int32_t count = 0;
    for (Index row = thread.index(); row < rows; row += thread.size()) count += guess(row) == labels.load(row) ? 1 : 0;
    count = sum_block(thread, count);
    if (thread.index() == 0) right.store(0, add ? right.load(0) + count : count);
  }
};

struct SumLosses {
  Global<const float> losses;
  Global<double> sum;
  Index count = 0;
  bool add = false;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    double own = 0;
    for (Index i = thread.index(); i < count; i += thread.size()) own += losses.load(i);
    own = sum_block(thread, own);
    if (thread.index() == 0) sum.store(0, add ? sum.load(0) + own : own);
  }
};

// ---- Launching.

inline void count_right(Queue& queue, Index rows, Index classes, const float* logits, const std::int32_t* labels, bool add,
                        std::int32_t* right) {
  const Grid grid{1, metrics_threads, metrics_threads * static_cast<int>(sizeof(std::int32_t))};
  launch(queue, "count_right", grid, CountRight{{logits, rows * classes}, {labels, rows}, {right, 1}, rows, classes, add});
}

inline void sum_losses(Queue& queue, Index count, const float* losses, bool add, double* sum) {
  const Grid grid{1, metrics_threads, metrics_threads * static_cast<int>(sizeof(double))};
  launch(queue, "sum_losses", grid, SumLosses{{losses, count}, {sum, 1}, count, add});
}

inline MetricsFunctions metrics_functions() { return {count_right, sum_losses}; }

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
