// One launch for many tensors: each has blocks of its own, which find it in a table among the kernel's arguments.
#pragma once

#include <algorithm>
#include <span>

#include <wengert/backends/cuda/thread.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

constexpr int many_threads = 256, block_elements = 4 * many_threads;  // of a tensor; a thread takes four
constexpr int most_argument_bytes = 4096;                             // of a kernel, on every device

// Blocks [first_block[t], first_block[t + 1]) belong to tensor t.
template <class Tensor, int most>
struct Many {
  int tensors = 0;
  int first_block[most + 1] = {};
  Tensor tensor[most] = {};

  // Adds one; blocks without elements are never made.
  void push(const Tensor& added, Index count) {
    tensor[tensors] = added;
    first_block[tensors + 1] = first_block[tensors] + static_cast<int>(ceil_div(count, block_elements));
    ++tensors;
  }
  Grid grid() const { return {first_block[tensors], many_threads, 0}; }

  WENGERT_DEVICE int of_block(Index block) const {
    int low = 0, high = tensors;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (first_block[middle] <= block ? low : high) = middle;
    }
    return low;
  }
  // The first of this thread's four elements of tensor t.
  WENGERT_DEVICE Index first(const Thread& thread, int t) const {
    return (thread.block() - first_block[t]) * block_elements + thread.index() * 4;
  }
};

// body(table) for all tensors with elements, `most` at a time, with make(tensor) for each.
template <class Tensor, int most, class Given, class Make, class Body>
void launch_many(std::span<const Given> given, const Make& make, const Body& body) {
  Many<Tensor, most> table;
  for (const Given& next : given) {
    if (next.count == 0) continue;
    table.push(make(next), next.count);
    if (table.tensors < most) continue;
    body(table);
    table = {};
  }
  if (table.tensors > 0) body(table);
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
