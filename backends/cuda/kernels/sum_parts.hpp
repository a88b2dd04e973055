// Adding up partial sums that other blocks have left in memory: a fixed tree over the parts, whatever the order of the blocks.
#pragma once

#include <wengert/backends/cuda/thread.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

// A block takes a warp's width of elements; its warps share the parts.
struct SumParts {
  static constexpr int warps = 8;

  Global<const float> parts;
  int count;
  Index elements;  // of a part: those of the first result, then those of the second, if there is one
  Index first_elements;
  Global<float> first, second;
  bool add;  // to what the first result holds

  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Shared<float> sums = thread.shared<float>(0, warps * warp_size);
    const Index element = thread.block() * warp_size + thread.lane();
    const bool exists = element < (second.given() ? elements : first_elements);
    constexpr int at_once = 4;  // loads in flight
    float sum = 0.0f;
    for (int p = thread.warp(); p < count; p += at_once * warps) {
      float values[at_once];
      for (int u = 0; u < at_once; ++u) {
        const int part = p + u * warps;
        values[u] = exists && part < count ? parts.load(part * elements + element) : 0.0f;
      }
      sum += (values[0] + values[1]) + (values[2] + values[3]);
    }
    sums.store(thread.index(), sum);
    thread.barrier();
    if (thread.warp() > 0 || !exists) return;
    sum = 0.0f;
    for (int i = 0; i < warps; ++i) sum += sums.load(i * warp_size + thread.lane());
    if (element >= first_elements) second.store(element - first_elements, sum);
    else first.store(element, add ? first.load(element) + sum : sum);
  }
};

// Results of `first_elements` and, where given, `second_elements` from parts of `elements` each.
inline void sum_parts(Queue& queue, Index count, Index elements, const float* parts, Index first_elements, float* first,
                      Index second_elements, float* second, bool add) {
  const Index all = first_elements + (second == nullptr ? 0 : second_elements);
  if (all == 0) return;
  constexpr int threads = SumParts::warps * warp_size;
  launch(queue, "sum_parts", {ceil_div(all, warp_size), threads, threads * static_cast<int>(sizeof(float))},
         SumParts{{parts, count * elements},
                  static_cast<int>(count),
                  elements,
                  first_elements,
                  {first, first_elements},
                  {second, second_elements},
                  add});
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
