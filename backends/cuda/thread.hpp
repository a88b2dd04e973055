// The thin header over which kernel bodies are written: who am I, barrier, shuffle, and memory only through Global and Shared.
//
//   struct Relu {
//     Global<const float> x;
//     Global<float> y;
//     Index count;
//     WENGERT_DEVICE void operator()(Thread& thread) const {
//       for (Index i = thread.global(); i < count; i += thread.total()) {
//         const float value = x.load(i);
//         y.store(i, value <= 0.0f ? 0.0f : value);
//       }
//     }
//   };
//   void relu(Queue& queue, const float* x, float* y, Index count) {
//     launch(queue, "relu", grid_for(count), Relu{{x, count}, {y, count}, count});
//   }
//
// A body holds plain values and Globals only, and is copied to the device as it is. Blocks and threads are numbered in one dimension. All
// threads of a block come to every barrier, all of a warp to every shuffle.
#pragma once

#include <wengert/backends/cuda/side.hpp>

#if defined(__CUDACC__)
#include <wengert/backends/cuda/thread_device.cuh>
#else
#include <wengert/backends/cuda/emulator/thread_emulated.hpp>
#endif

namespace wengert::cuda::WENGERT_CUDA_SIDE {

// One thread an element up to a full device, then several elements a thread.
inline Grid grid_for(Index elements, int threads = 256) {
  constexpr Index most_blocks = 2048;
  const Index blocks = ceil_div(elements, threads);
  return {blocks < 1 ? 1 : blocks > most_blocks ? most_blocks : blocks, threads, 0};
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
