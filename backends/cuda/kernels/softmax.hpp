// Softmax and cross-entropy: a warp a row, or a block for many classes. A row is read three times, the second and third time out of the cache.
#pragma once

#include <cmath>

#include <wengert/backends/cuda/kernels/join.hpp>
#include <wengert/backends/cuda/softmax.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

struct LogSumExp {
  float largest, log_sum;  // kept apart: their sum rounds away log_sum beside a large `largest`
};

// A thread's part of a row: every step-th class from `lane` on. A part of no row has no classes.
struct RowPart {
  Index row, first;  // `first`: the row's first element
  Index classes;
  int lane, step;
};

template <class Finish>
struct SoftmaxRows {
  Global<const float> x;
  Finish finish;
  Index rows = 0, classes = 0;
  int lanes = warp_size;

  WENGERT_DEVICE LogSumExp log_sum_exp(Thread& thread, const RowPart& part) const {
    float largest = Largest::none();
    for (Index c = part.lane; c < part.classes; c += part.step) largest = Largest::join(largest, x.load(part.first + c));
    largest = join_lanes<Largest>(thread, largest, lanes, 0);
    float sum = 0;
    for (Index c = part.lane; c < part.classes; c += part.step) sum += std::exp(x.load(part.first + c) - largest);
    sum = join_lanes<Sum>(thread, sum, lanes, 0);
    return {largest, std::log(sum)};
  }
  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Index at_once = thread.size() / lanes;
    for (Index first = thread.block() * at_once; first < rows; first += thread.blocks() * at_once) {
      const Index row = first + thread.index() / lanes;
      const RowPart part{row, row * classes, row < rows ? classes : 0, thread.index() % lanes, lanes};
      finish(thread, x, part, log_sum_exp(thread, part));
    }
  }
};

// ---- What is done with a row; all threads of the block come here.

struct WriteSoftmax {
  Global<float> y;
  WENGERT_DEVICE void operator()(Thread&, const Global<const float>& x, const RowPart& part, const LogSumExp& l) const {
    for (Index c = part.lane; c < part.classes; c += part.step)
      y.store(part.first + c, std::exp((x.load(part.first + c) - l.largest) - l.log_sum));
  }
};

struct WriteLogSoftmax {
  Global<float> y;
  WENGERT_DEVICE void operator()(Thread&, const Global<const float>& x, const RowPart& part, const LogSumExp& l) const {
    for (Index c = part.lane; c < part.classes; c += part.step) y.store(part.first + c, (x.load(part.first + c) - l.largest) - l.log_sum);
  }
};

// The loss of a row whose label is a class; by the row's first thread.
struct WriteLoss {
  Global<const std::int32_t> labels;
  Global<float> losses;
  WENGERT_DEVICE static bool inside(std::int32_t label, const RowPart& part) { return label >= 0 && label < part.classes; }
  WENGERT_DEVICE void operator()(const Global<const float>& x, const RowPart& part, const LogSumExp& l) const {
    if (part.lane != 0 || part.classes == 0) return;
    const std::int32_t label = labels.load(part.row);
    losses.store(part.row, inside(label, part) ? l.log_sum - (x.load(part.first + label) - l.largest) : not_a_number);
  }
};

struct WriteCrossEntropy {
  WriteLoss loss;
  WriteSoftmax probabilities;
  WENGERT_DEVICE void operator()(Thread& thread, const Global<const float>& x, const RowPart& part, const LogSumExp& l) const {
    loss(x, part, l);
    probabilities(thread, x, part, l);
  }
};

struct WriteSoftCrossEntropy {
  Global<const float> labels;
  Global<float> losses;
  WriteSoftmax probabilities;
  int lanes = warp_size;
  WENGERT_DEVICE void operator()(Thread& thread, const Global<const float>& x, const RowPart& part, const LogSumExp& l) const {
    float loss = 0;
    for (Index c = part.lane; c < part.classes; c += part.step) {
      const float wanted = labels.load(part.first + c);
      if (wanted != 0.0f) loss += wanted * (l.log_sum - (x.load(part.first + c) - l.largest));
    }
    loss = join_lanes<Sum>(thread, loss, lanes, 0);
    if (part.lane == 0 && part.classes > 0) losses.store(part.row, loss);
    probabilities(thread, x, part, l);
  }
};

struct WriteGradient {
  WriteLoss loss;
  Global<const float> dloss;
  Global<float> gradient;
  WENGERT_DEVICE void operator()(Thread&, const Global<const float>& x, const RowPart& part, const LogSumExp& l) const {
    loss(x, part, l);
    if (part.classes == 0) return;
    const std::int32_t label = loss.labels.load(part.row);
    const float factor = WriteLoss::inside(label, part) ? dloss.load(part.row) : not_a_number;
    for (Index c = part.lane; c < part.classes; c += part.step) {
      const float p = std::exp((x.load(part.first + c) - l.largest) - l.log_sum);
      gradient.store(part.first + c, (c == label ? p - 1.0f : p) * factor);
    }
  }
};

// ---- Launching.

constexpr int softmax_threads = 256;

inline int lanes_for(Index classes) { return classes > 1024 ? softmax_threads : warp_size; }

template <class Finish>
void softmax_rows(Queue& queue, const char* kernel, Index rows, Index classes, const float* x, const Finish& finish) {
  if (rows == 0) return;
  const int lanes = lanes_for(classes);
  Grid grid = grid_for(rows * lanes, softmax_threads);
  grid.shared_bytes = join_bytes;
  launch(queue, kernel, grid, SoftmaxRows<Finish>{{x, rows * classes}, finish, rows, classes, lanes});
}

inline void softmax(Queue& queue, Index rows, Index classes, const float* x, float* y) {
  softmax_rows(queue, "softmax", rows, classes, x, WriteSoftmax{{y, rows * classes}});
}

inline void log_softmax(Queue& queue, Index rows, Index classes, const float* x, float* y) {
  softmax_rows(queue, "log_softmax", rows, classes, x, WriteLogSoftmax{{y, rows * classes}});
}

inline void cross_entropy(Queue& queue, Index rows, Index classes, const float* logits, const std::int32_t* labels, float* losses,
                          float* probabilities) {
  softmax_rows(queue, "cross_entropy", rows, classes, logits,
               WriteCrossEntropy{{{labels, rows}, {losses, rows}}, {{probabilities, rows * classes}}});
}

inline void soft_cross_entropy(Queue& queue, Index rows, Index classes, const float* logits, const float* labels, float* losses,
                               float* probabilities) {
  softmax_rows(queue, "soft_cross_entropy", rows, classes, logits,
               WriteSoftCrossEntropy{{labels, rows * classes}, {losses, rows}, {{probabilities, rows * classes}}, lanes_for(classes)});
}

inline void cross_entropy_gradient(Queue& queue, Index rows, Index classes, const float* logits, const std::int32_t* labels,
                                   const float* dloss, float* losses, float* gradient) {
  softmax_rows(queue, "cross_entropy_gradient", rows, classes, logits,
               WriteGradient{{{labels, rows}, {losses, rows}}, {dloss, rows}, {gradient, rows * classes}});
}

inline SoftmaxFunctions softmax_functions() { return {softmax, log_softmax, cross_entropy, soft_cross_entropy, cross_entropy_gradient}; }

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
