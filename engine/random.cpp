#include <wengert/engine/random.hpp>

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include <wengert/engine/error.hpp>

namespace wengert {
namespace {

constexpr Index index_limit = Index{1} << 34;  // four words for each of 2^32 blocks

void check_range(Index first, std::size_t count) {
  if (first < 0 || first > index_limit || count > static_cast<std::size_t>(index_limit - first)) {
    fail("[random] wanted indices in [0, 2^34), got " + std::to_string(count) + " from " + std::to_string(first));
  }
}

// out[i] = value(word of index first + i), one call of Philox for four words.
template <class T, class Value>
void fill_words(const RandomStream& random, std::span<T> out, Index first, Value value) {
  check_range(first, out.size());
  std::size_t i = 0;
  while (i < out.size()) {
    const Index index = first + static_cast<Index>(i);
    const std::array<std::uint32_t, 4> words = random.words(static_cast<std::uint32_t>(index / 4));
    for (auto k = static_cast<std::size_t>(index % 4); k < 4 && i < out.size(); ++k, ++i) out[i] = value(words[k]);
  }
}

template <class T>
void uniform(const RandomStream& random, std::span<T> out, double low, double high, Index first) {
  const double width = high - low;
  const T end = static_cast<T>(high);
  const T last = std::nextafter(end, static_cast<T>(low));
  fill_words(random, out, first, [&](std::uint32_t bits) {
    const T drawn = static_cast<T>(low + width * unit_interval(bits));
    return drawn < end ? drawn : last;
  });
}

template <class T>
void bernoulli(const RandomStream& random, std::span<T> out, double probability, Index first) {
  if (!(probability >= 0.0 && probability <= 1.0)) {
    fail("[random] wanted a probability in [0, 1], got " + std::to_string(probability));
  }
  fill_words(random, out, first, [&](std::uint32_t bits) { return unit_interval(bits) < probability ? T{1} : T{0}; });
}

}  // namespace

void fill_uniform(const RandomStream& random, std::span<float> out, double low, double high, Index first) {
  uniform(random, out, low, high, first);
}
void fill_uniform(const RandomStream& random, std::span<double> out, double low, double high, Index first) {
  uniform(random, out, low, high, first);
}

void fill_normal(const RandomStream& random, std::span<double> out, double mean, double deviation, Index first) {
  check_range(first, out.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    const Index index = first + static_cast<Index>(i);
    const Index pair = index - index % 2;
    const double radius = std::sqrt(-2.0 * std::log(1.0 - random.uniform(pair)));
    const double angle = 2.0 * std::numbers::pi * random.uniform(pair + 1);
    out[i] = mean + deviation * radius * (index == pair ? std::cos(angle) : std::sin(angle));
  }
}

void fill_bernoulli(const RandomStream& random, std::span<float> out, double probability, Index first) {
  bernoulli(random, out, probability, first);
}
void fill_bernoulli(const RandomStream& random, std::span<double> out, double probability, Index first) {
  bernoulli(random, out, probability, first);
}

std::vector<Index> permutation(Index n, const RandomStream& random) {
  if (n < 0 || n >= Index{1} << 32) fail("[permutation] wanted a size in [0, 2^32), got " + std::to_string(n));
  std::vector<Index> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), Index{0});
  for (std::size_t i = order.size(); i > 1; --i) {
    // j = floor(i * r / 2^64) for 64 random bits r, without a 128-bit product: i stays below 2^32. Philox words 2i and
    // 2i+1 stand in one block.
    const auto at = static_cast<Index>(2 * (i - 1));
    const std::array<std::uint32_t, 4> words = random.words(static_cast<std::uint32_t>(at / 4));
    const std::uint64_t high = words[static_cast<std::size_t>(at % 4)];
    const std::uint64_t low = words[static_cast<std::size_t>(at % 4) + 1];
    const std::uint64_t j = (high * i + ((low * i) >> 32)) >> 32;
    std::swap(order[i - 1], order[j]);
  }
  return order;
}

}  // namespace wengert
