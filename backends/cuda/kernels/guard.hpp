// Looking for values that are not finite, in many arrays by one launch: a thread looks at four neighbouring elements. Memory sets the speed.
#pragma once

#include <limits>

#include <wengert/backends/cuda/guard.hpp>
#include <wengert/backends/cuda/kernels/four.hpp>
#include <wengert/backends/cuda/kernels/many.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

constexpr int most_watched = 64;  // of one launch
constexpr float largest_float = std::numeric_limits<float>::max();

struct WatchedEntry {
  Global<const float> values;
  Index count = 0;
  std::int32_t step = 0;
  bool vector = false;
};

struct NotFinite {
  Many<WatchedEntry, most_watched> many;
  Global<std::int32_t> flag;

  WENGERT_DEVICE static bool finite(float x) { return x * x <= largest_float; }  // false for NaN
  WENGERT_DEVICE void operator()(Thread& thread) const {
    const int t = many.of_block(thread.block());
    const WatchedEntry& e = many.tensor[t];
    const Four x = load_four(e.values, many.first(thread, t), e.count, e.vector);
    if (!finite(x.x) || !finite(x.y) || !finite(x.z) || !finite(x.w)) flag.atomic_min(0, e.step);
  }
};

#if defined(__CUDACC__)
static_assert(sizeof(NotFinite) <= most_argument_bytes);
#endif

inline void not_finite(Queue& queue, std::span<const Watched> values, std::int32_t* flag) {
  const auto entry = [](const Watched& v) { return WatchedEntry{{v.values, v.count}, v.count, v.step, aligned(v.values)}; };
  launch_many<WatchedEntry, most_watched>(values, entry, [&](const auto& many) {
    launch(queue, "not_finite", many.grid(), NotFinite{many, {flag, 1}});
  });
}

inline GuardFunctions guard_functions() { return {not_finite}; }

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
