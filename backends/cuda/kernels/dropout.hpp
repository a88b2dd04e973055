// Dropout: a thread draws the four words of one Philox block and drops up to four neighbouring elements.
#pragma once

#include <cmath>
#include <string>

#include <wengert/backends/cuda/dropout.hpp>
#include <wengert/backends/cuda/kernels/four.hpp>
#include <wengert/backends/cuda/refusal.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

struct Words {
  std::uint32_t w[4];
};

// Philox 4x32-10, as in engine/random.hpp.
WENGERT_DEVICE Words philox(Words counter, std::uint32_t key0, std::uint32_t key1) {
  constexpr int rounds = 10;
  for (int round = 0; round < rounds; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53U} * counter.w[0], p1 = std::uint64_t{0xCD9E8D57U} * counter.w[2];
    counter = {{static_cast<std::uint32_t>(p1 >> 32) ^ counter.w[1] ^ key0, static_cast<std::uint32_t>(p1),
                static_cast<std::uint32_t>(p0 >> 32) ^ counter.w[3] ^ key1, static_cast<std::uint32_t>(p0)}};
    key0 += 0x9E3779B9U;
    key1 += 0xBB67AE85U;
  }
  return counter;
}

struct Dropout {
  std::uint64_t seed = 0, stream = 0;
  std::uint32_t below = 0;  // an element stays where the upper 24 bits of its word are below
  float scale = 1;
  Global<const std::int32_t> step;
  Global<const float> x;
  Global<float> y;
  Index first = 0, count = 0;

  WENGERT_DEVICE bool stays(std::uint32_t word) const { return word >> 8 < below; }
  WENGERT_DEVICE void drop(Index i, std::uint32_t word) const {
    if (i >= 0 && i < count) y.store(i, stays(word) ? x.load(i) * scale : 0.0f);
  }
  WENGERT_DEVICE void operator()(Thread& thread) const {
    const auto now = static_cast<std::uint32_t>(step.load(0));
    const Index first_block = first / four, blocks = (first + count - 1) / four - first_block + 1;
    for (Index b = thread.global(); b < blocks; b += thread.total()) {
      const Words words = philox({{static_cast<std::uint32_t>(first_block + b), now, static_cast<std::uint32_t>(stream),
                                   static_cast<std::uint32_t>(stream >> 32)}},
                                 static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
      const Index i = (first_block + b) * four - first;
      for (int k = 0; k < four; ++k) drop(i + k, words.w[k]);
    }
  }
};

// The least integer at which n 2^-24 < probability ends: the CPU's comparison of unit_interval() in doubles, in integers.
inline std::uint32_t limit_of(double probability) { return static_cast<std::uint32_t>(std::ceil(std::ldexp(probability, 24))); }

inline void dropout(Queue& queue, const DropoutDraw& draw, const std::int32_t* step, Index first, Index count, const float* x, float* y) {
  constexpr Index index_limit = Index{1} << 34;
  if (first < 0 || first > index_limit || count > index_limit - first)
    want(queue, "wanted elements in [0, 2^34), got " + std::to_string(count) + " from " + std::to_string(first));
  if (count == 0) return;
  launch(queue, "dropout", grid_for(ceil_div(count, four) + 1),
         Dropout{draw.seed,
                 draw.stream,
                 limit_of(1.0 - draw.rate),
                 static_cast<float>(1.0 / (1.0 - draw.rate)),
                 {step, 1},
                 {x, count},
                 {y, count},
                 first,
                 count});
}

inline DropoutFunctions dropout_functions() { return {dropout}; }

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
