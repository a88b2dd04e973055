// Random numbers by address: a value depends on (seed, name, step, index) alone, never on layout, chunk, thread, device
// or the order in which things are made.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <wengert/engine/types.hpp>

namespace wengert {

// Philox 4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11. A pure function:
// four words of 32 random bits for every counter and key.
constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  constexpr int rounds = 10;
  for (int round = 0; round < rounds; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53U} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57U} * counter[2];
    counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
               static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    key[0] += 0x9E3779B9U;  // the golden ratio
    key[1] += 0xBB67AE85U;  // sqrt(3) - 1
  }
  return counter;
}

// FNV-1a, 64 bits.
constexpr std::uint64_t hash_name(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash;
}

// (u32 >> 8) * 2^-24: in [0, 1), exact in float and in double.
constexpr double unit_interval(std::uint32_t bits) { return static_cast<double>(bits >> 8) * 0x1p-24; }

// The random sequence of one name at one step. An index is row-major (NCHW) and lies in [0, 2^34).
struct RandomStream {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;  // hash_name of what draws: a parameter, a dropout layer, the shuffling
  std::uint32_t step = 0;    // training step or epoch

  // The words of indices 4 block .. 4 block + 3.
  constexpr std::array<std::uint32_t, 4> words(std::uint32_t block) const {
    return philox({block, step, static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)},
                  {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  }
  constexpr std::uint32_t at(Index index) const {
    return words(static_cast<std::uint32_t>(index / 4))[static_cast<std::size_t>(index % 4)];
  }
  constexpr double uniform(Index index) const { return unit_interval(at(index)); }  // [0, 1)
};

constexpr RandomStream random_stream(std::uint64_t seed, std::string_view name, std::uint32_t step = 0) {
  return {seed, hash_name(name), step};
}

// out[i] = the value of index first + i, for a whole tensor or for a slice of one. Throw Error where an index leaves [0, 2^34).
// Uniform in [low, high), the same double arithmetic for both types; float is rounded once and kept below high.
void fill_uniform(const RandomStream& random, std::span<float> out, double low, double high, Index first = 0);
void fill_uniform(const RandomStream& random, std::span<double> out, double low, double high, Index first = 0);

// Normal by Box and Muller, indices 2i and 2i+1 sharing a pair of words. It calls the mathematics library, so its last
// bits belong to one machine: meant for tests and samples, not for initial weights.
void fill_normal(const RandomStream& random, std::span<double> out, double mean, double deviation, Index first = 0);

// 1 with the given probability, else 0. Throws Error where the probability lies outside [0, 1].
void fill_bernoulli(const RandomStream& random, std::span<float> out, double probability, Index first = 0);
void fill_bernoulli(const RandomStream& random, std::span<double> out, double probability, Index first = 0);

// 0 .. n-1 shuffled (Fisher and Yates; the bias of a draw is below n * 2^-64). Throws Error for n outside [0, 2^32).
std::vector<Index> permutation(Index n, const RandomStream& random);

}  // namespace wengert
