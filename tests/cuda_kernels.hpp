// What the tests of CUDA kernels share: a kernel's results in every order of threads and blocks, random values, comparisons.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <tuple>
#include <vector>

#include "cuda_support.hpp"

namespace wengert::test {

using Floats = std::vector<float>;
using Integers = std::vector<std::int32_t>;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

template <class T>
Index size_of(const std::vector<T>& values) {
  return static_cast<Index>(values.size());
}

inline Floats random_floats(std::mt19937& random, Index size, double low = -1, double high = 1) {
  std::uniform_real_distribution<double> uniform(low, high);
  Floats values(static_cast<std::size_t>(size));
  for (float& value : values) value = static_cast<float>(uniform(random));
  return values;
}

inline Integers random_integers(std::mt19937& random, Index size, int low, int high) {
  std::uniform_int_distribution<int> uniform(low, high);
  Integers values(static_cast<std::size_t>(size));
  for (std::int32_t& value : values) value = uniform(random);
  return values;
}

// Values with every kind of trouble among them.
inline Floats special_floats(std::mt19937& random, Index size) {
  Floats values = random_floats(random, size, -3, 3);
  const float kinds[] = {not_a_number, infinity, -infinity, 0.0f, -0.0f, 1e30f, -1e-30f, 1.0f};
  for (std::size_t i = 0; i < values.size(); i += 3) values[i] = kinds[random() % std::size(kinds)];
  return values;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}
template <class... T>
bool same_bits(const std::tuple<T...>& a, const std::tuple<T...>& b) {
  return std::apply([&](const auto&... own) { return std::apply([&](const auto&... other) { return (same_bits(own, other) && ...); }, b); },
                    a);
}

// The result of body(device), a vector or a tuple of vectors; it has the same bits in every order, which is checked.
template <class Body>
auto in_all_orders(const Body& body) {
  EmulatedDevice forward;
  const auto result = body(forward);
  for (const cuda::EmulatorOptions& options : emulated_orders()) {
    EmulatedDevice device(options);
    INFO("order " << static_cast<int>(options.order) << " seed " << options.seed);
    CHECK(same_bits(body(device), result));
  }
  return result;
}

// The same in two orders: for work that takes the emulator long.
template <class Body>
auto in_two_orders(const Body& body) {
  EmulatedDevice forward, shuffled({.order = cuda::Order::shuffled});
  const auto result = body(forward);
  CHECK(same_bits(body(shuffled), result));
  return result;
}

// The first place at which two values differ by more than this times the larger of 1 and the wanted one, or -1. NaN equals NaN.
template <class T>
Index first_difference(const std::vector<T>& got, const std::vector<T>& wanted, double tolerance = 0) {
  if (got.size() != wanted.size()) return size_of(got);
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto g = static_cast<double>(got[i]), w = static_cast<double>(wanted[i]);
    const bool same = g == w || (std::isnan(g) && std::isnan(w)) || std::abs(g - w) <= tolerance * std::max(1.0, std::abs(w));
    if (!same) return static_cast<Index>(i);
  }
  return -1;
}

// With the values at the place where they differ.
template <class T>
void check_same(const std::vector<T>& got, const std::vector<T>& wanted, double tolerance = 0) {
  const Index at = first_difference(got, wanted, tolerance);
  if (at >= 0 && at < size_of(got) && got.size() == wanted.size()) {
    CAPTURE(got[static_cast<std::size_t>(at)]);
    CAPTURE(wanted[static_cast<std::size_t>(at)]);
    CHECK(at == -1);
  } else {
    CHECK(at == -1);
  }
}

}  // namespace wengert::test
