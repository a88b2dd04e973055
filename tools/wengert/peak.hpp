// What a core can do at most, measured in this process, and the share of it that a benchmark's time reaches.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include <wengert/engine/types.hpp>

namespace wengert::command {

// Bytes that a copy reads and writes, half each: well inside a cache of usual size, and well beyond the last one.
struct Area {
  const char* name;
  Index bytes;
};
inline constexpr std::array areas = {Area{"L1", 24 << 10}, Area{"L2", 384 << 10}, Area{"memory", 256 << 20}};

// A second on one core: FLOPs of f32 multiply-adds on each target, bytes that copies within each area read and write. Measured in some
// 25 ms a target or cache.
std::vector<double> multiply_add_speeds(const std::vector<std::string>& targets);
std::vector<double> copy_speeds(std::span<const Area> of);

struct Share {
  double part = 0;
  const char* area = nullptr;  // of a copy; null: of the multiply-adds
  std::string text() const;    // "61.2% of peak", "8.1% of L1 copy"
};

// Of what `threads` cores can do: of the multiply-adds on the target in use, and of copying in the first area that so many bytes fit in.
// The limit is measured at the first call.
Share share_of_peak(double flops, DType dtype, double seconds, int threads);
Share share_of_copy(Index bytes, double seconds, int threads);

}  // namespace wengert::command
