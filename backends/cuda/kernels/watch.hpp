// Looking for values that are not finite, in many arrays by one launch; each thread reports what it sees at most once an array.
#pragma once

#include <algorithm>
#include <vector>

#include <wengert/backends/cuda/thread.hpp>
#include <wengert/backends/cuda/watch.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

struct WatchedArray {
  Global<const float> values;
  Index count = 0;
  std::int32_t step = 0;
};

struct Watch {
  static constexpr int most_arrays = 64;  // a body of less than the 4 KiB that a launch takes along
  WatchedArray arrays[most_arrays];
  int used = 0;
  Global<std::int32_t> flag;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    constexpr float largest = 3.402823466e+38f;
    for (int a = 0; a < used; ++a) {
      const WatchedArray& array = arrays[a];
      bool finite = true;
      for (Index i = thread.global(); i < array.count; i += thread.total()) {
        const float value = array.values.load(i);
        finite = finite && value * value <= largest;  // false for NaN
      }
      if (!finite) flag.atomic_min(0, array.step);
    }
  }
};

inline void watch_not_finite(Queue& queue, const std::vector<Watched>& values, std::int32_t* flag) {
  for (std::size_t first = 0; first < values.size(); first += Watch::most_arrays) {
    Watch body;
    body.flag = {flag, 1};
    Index longest = 0;
    for (std::size_t i = first; i < std::min(values.size(), first + Watch::most_arrays); ++i) {
      body.arrays[body.used++] = {{values[i].values, values[i].count}, values[i].count, values[i].step};
      longest = std::max(longest, values[i].count);
    }
    if (longest > 0) launch(queue, "watch", grid_for(longest), body);
  }
}

inline WatchFunctions watch_functions() { return {watch_not_finite}; }

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
