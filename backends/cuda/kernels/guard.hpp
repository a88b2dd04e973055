// Looking for values that are not finite, in many arrays by one launch: a thread looks at four neighbouring elements; and copies that such a
// value stops. Memory sets the speed.
#pragma once

#include <limits>

#include <wengert/backends/cuda/guard.hpp>
#include <wengert/backends/cuda/kernels/four.hpp>
#include <wengert/backends/cuda/kernels/many.hpp>
#include <wengert/backends/cuda/kernels/stop.hpp>

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

template <class T>
struct CopyUnlessStopped {
  Global<const T> from;
  Global<T> to;
  Global<const std::int32_t> stop;
  Index count = 0;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    if (stopped(stop)) return;
    for (Index i = thread.global(); i < count; i += thread.total()) to.store(i, from.load(i));
  }
};

inline void copy_unless_stopped(Queue& queue, Index bytes, const void* from, void* to) {
  if (bytes == 0) return;
  const auto copy = [&](auto zero) {
    using T = decltype(zero);
    const Index count = bytes / Index{sizeof(T)};
    launch(queue, "copy_unless_stopped", grid_for(count),
           CopyUnlessStopped<T>{{static_cast<const T*>(from), count}, {static_cast<T*>(to), count}, {queue.stop_flag, 1}, count});
  };
  if (bytes % Index{sizeof(float)} == 0) copy(float{});
  else copy(std::uint8_t{});
}

inline GuardFunctions guard_functions() { return {not_finite, copy_unless_stopped}; }

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
