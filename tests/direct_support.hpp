// What the tests of the direct kernels share: every vector target in turn, guarded buffers, random values and the layout nhwc8 by plain loops.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include <wengert/backends/direct/target.hpp>
#include <wengert/engine/view.hpp>

namespace test {

using wengert::Index;
using wengert::Layout;

// A run of values, and behind it 64 bytes that a kernel may read (NaN: no result may depend on them) but not write.
template <class T>
class Guarded {
 public:
  explicit Guarded(Index size, T value = T{}) : size_(size), all_(static_cast<std::size_t>(size) + room, guard()) {
    for (Index i = 0; i < size; ++i) (*this)[i] = value;
  }
  explicit Guarded(const std::vector<T>& values) : Guarded(static_cast<Index>(values.size())) {
    for (Index i = 0; i < size_; ++i) (*this)[i] = values[static_cast<std::size_t>(i)];
  }

  Index size() const { return size_; }
  T* data() { return all_.data(); }
  const T* data() const { return all_.data(); }
  T& operator[](Index i) { return all_[static_cast<std::size_t>(i)]; }
  const T& operator[](Index i) const { return all_[static_cast<std::size_t>(i)]; }
  bool intact() const {
    const T wanted = guard();
    for (std::size_t i = 0; i < room; ++i) {
      if (std::memcmp(&all_[static_cast<std::size_t>(size_) + i], &wanted, sizeof(T)) != 0) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t room = 64 / sizeof(T);
  static T guard() {
    if constexpr (std::is_floating_point_v<T>) return std::numeric_limits<T>::quiet_NaN();
    else return T{0x5A5A5A5A};
  }
  Index size_;
  std::vector<T> all_;
};

using Floats = Guarded<float>;
using Integers = Guarded<std::int32_t>;

// body() with each target of this machine set; the best one is set again at the end.
template <class Body>
void for_each_target(const Body& body) {
  for (const std::string& name : wengert::direct::targets()) {
    wengert::direct::set_target(name);
    INFO("target " << name);
    body();
  }
  wengert::direct::set_target(wengert::direct::targets().front());
}

inline Floats random_floats(std::mt19937& random, Index size, double low = -1, double high = 1) {
  std::uniform_real_distribution<double> uniform(low, high);
  Floats values(size);
  for (Index i = 0; i < size; ++i) values[i] = static_cast<float>(uniform(random));
  return values;
}

inline Index one_of(std::mt19937& random, Index low, Index high) { return std::uniform_int_distribution<Index>(low, high)(random); }

// Where an element of (images, channels, pixels) lies.
inline Index place(Layout layout, Index channels, Index pixels, Index image, Index channel, Index pixel) {
  if (layout == Layout::nchw) return (image * channels + channel) * pixels + pixel;
  return ((image * ((channels + 7) / 8) + channel / 8) * pixels + pixel) * 8 + channel % 8;
}
inline Index size_in(Layout layout, Index images, Index channels, Index pixels) {
  return images * (layout == Layout::nchw ? channels : (channels + 7) / 8 * 8) * pixels;
}

// A plain value (nchw) as it lies in a layout; padding lanes 0.
template <class T>
Guarded<T> laid_out(Layout layout, Index images, Index channels, Index pixels, const Guarded<T>& plain) {
  Guarded<T> result(size_in(layout, images, channels, pixels));
  for (Index n = 0; n < images; ++n) {
    for (Index c = 0; c < channels; ++c) {
      for (Index p = 0; p < pixels; ++p)
        result[place(layout, channels, pixels, n, c, p)] = plain[place(Layout::nchw, channels, pixels, n, c, p)];
    }
  }
  return result;
}

template <class T>
bool same_bits(const Guarded<T>& a, const Guarded<T>& b) {
  return a.size() == b.size() && (a.size() == 0 || std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(T)) == 0);
}

// Equal, or both NaN; -0 equals 0.
inline bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

// The first index at which two values are not the same(), or -1.
template <class T>
Index first_difference(const Guarded<T>& a, const Guarded<T>& b) {
  for (Index i = 0; i < a.size(); ++i) {
    if (!same(static_cast<double>(a[i]), static_cast<double>(b[i]))) return i;
  }
  return a.size() == b.size() ? -1 : std::min(a.size(), b.size());
}

}  // namespace test
