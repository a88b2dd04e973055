// Sums over a batch by one block: there is little to do, and one block adds in one order.
#pragma once

#include <wengert/backends/cuda/kernels/join.hpp>
#include <wengert/backends/cuda/kernels/stop.hpp>
#include <wengert/backends/cuda/metrics.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

struct AddTotals {
  Global<const float> losses, logits;
  Global<const std::int32_t> labels;
  Global<const float> totals;
  Global<float> next;
  Global<const std::int32_t> stop;
  Index rows = 0, classes = 0;

  // A NaN is never larger, and nothing is larger than a NaN in front.
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
    if (stopped(stop)) return;
    float loss = 0, right = 0;  // counts stay exact up to 2^24 rows
    for (Index row = thread.index(); row < rows; row += thread.size()) {
      loss += losses.load(row);
      right += guess(row) == labels.load(row) ? 1.0f : 0.0f;
    }
    loss = join_lanes<Sum>(thread, loss, thread.size(), 0);
    right = join_lanes<Sum>(thread, right, thread.size(), 0);
    if (thread.index() != 0) return;
    next.store(0, totals.load(0) + loss);
    next.store(1, totals.load(1) + right);
    next.store(2, totals.load(2) + 1.0f);
  }
};

inline void add_totals(Queue& queue, Index rows, Index classes, const float* losses, const float* logits, const std::int32_t* labels,
                       const float* totals, float* next) {
  constexpr int threads = 512;
  launch(queue, "add_totals", Grid{1, threads, join_bytes},
         AddTotals{{losses, rows}, {logits, rows * classes}, {labels, rows}, {totals, 3}, {next, 3}, {queue.stop_flag, 1}, rows, classes});
}

inline MetricsFunctions metrics_functions() { return {add_totals}; }

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
