// Four neighbouring elements at once: by a vector access where memory allows, else one by one.
#pragma once

#include <cstdint>

#include <wengert/backends/cuda/thread.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

constexpr int four = 4;

// Whether vector accesses from its first element on are allowed.
inline bool aligned(const void* data) { return reinterpret_cast<std::uintptr_t>(data) % sizeof(Four) == 0; }

// Elements i to i + 3, as far as they lie below count; those behind are 0. `vector`: the memory is aligned, and i a multiple of 4.
WENGERT_DEVICE Four load_four(const Global<const float>& from, Index i, Index count, bool vector) {
  if (vector && i + four <= count) return from.load_four(i);
  Four values{0, 0, 0, 0};
  if (i < count) values.x = from.load(i);
  if (i + 1 < count) values.y = from.load(i + 1);
  if (i + 2 < count) values.z = from.load(i + 2);
  if (i + 3 < count) values.w = from.load(i + 3);
  return values;
}

WENGERT_DEVICE void store_four(const Global<float>& to, Index i, Index count, bool vector, const Four& values) {
  if (vector && i + four <= count) {
    to.store_four(i, values);
    return;
  }
  if (i < count) to.store(i, values.x);
  if (i + 1 < count) to.store(i + 1, values.y);
  if (i + 2 < count) to.store(i + 2, values.z);
  if (i + 3 < count) to.store(i + 3, values.w);
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
