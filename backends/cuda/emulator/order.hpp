// The orders in which an emulated device does what a real one may do in any order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace wengert::cuda::emulated {

enum class Order : std::uint8_t { forward, reverse, shuffled };

class Schedule {
 public:
  Schedule(Order order, std::uint64_t seed) : order_(order), state_(seed) {}

  Order order() const { return order_; }

  // A number in [0, bound), bound below 2^32: splitmix64 (Steele, Lea, Flood 2014).
  std::size_t below(std::size_t bound) {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return static_cast<std::size_t>(((z ^ (z >> 31)) >> 32) * bound >> 32);
  }

  // Puts what comes in ascending order into this one.
  template <class T>
  void arrange(std::vector<T>& items) {
    if (order_ == Order::reverse) std::reverse(items.begin(), items.end());
    if (order_ != Order::shuffled) return;
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  Order order_;
  std::uint64_t state_;
};

}  // namespace wengert::cuda::emulated
