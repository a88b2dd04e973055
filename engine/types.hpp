// Plain values that everything else speaks in: Index, Shape, DType, Device, Spec.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <type_traits>

namespace wengert {

// The only index type; sizes, strides and offsets are counted in elements unless a name says bytes.
using Index = std::int64_t;

enum class DType : std::uint8_t { f32, f64, i32, u8 };

const char* name(DType dtype);
constexpr Index size_of(DType dtype) { return dtype == DType::f64 ? 8 : dtype == DType::u8 ? 1 : 4; }
constexpr bool is_float(DType dtype) { return dtype == DType::f32 || dtype == DType::f64; }

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>) return DType::f32;
  else if constexpr (std::is_same_v<T, double>) return DType::f64;
  else if constexpr (std::is_same_v<T, std::int32_t>) return DType::i32;
  else {
    static_assert(std::is_same_v<T, std::uint8_t>, "a tensor holds float, double, int32_t or uint8_t");
    return DType::u8;
  }
}

// Calls body(T{}) with the C++ type of a floating dtype: visit_float(d, [&](auto zero) { using T = decltype(zero); ... }).
// An integer dtype is a broken internal invariant: shape rules refuse it first.
template <class Body>
decltype(auto) visit_float(DType dtype, Body&& body) {
  return dtype == DType::f64 ? body(double{}) : body(float{});
}

// As visit_float, over all four dtypes.
template <class Body>
decltype(auto) visit_any(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::f64: return body(double{});
    case DType::i32: return body(std::int32_t{});
    case DType::u8: return body(std::uint8_t{});
    default: return body(float{});
  }
}

// Where a tensor lives.
struct Device {
  enum class Kind : std::uint8_t { cpu, cuda };
  Kind kind = Kind::cpu;
  int index = 0;
  bool operator==(const Device&) const = default;
};
const char* name(Device::Kind kind);
std::string text_of(Device device);  // "cpu", "cuda:0"

// Sizes of a row-major array, up to max_rank axes, stored inline. A scalar has rank 0 and one element.
class Shape {
 public:
  static constexpr int max_rank = 8;

  constexpr Shape() = default;
  // Throws Error("wanted ..., got ...") on a negative size or more than max_rank axes: the caller, such as apply(), says who.
  Shape(std::initializer_list<Index> sizes);
  explicit Shape(std::span<const Index> sizes);

  int rank() const { return rank_; }
  Index operator[](int axis) const { return sizes_[static_cast<std::size_t>(axis)]; }
  Index& operator[](int axis) { return sizes_[static_cast<std::size_t>(axis)]; }
  const Index* begin() const { return sizes_.data(); }
  const Index* end() const { return sizes_.data() + rank_; }
  void push_back(Index size);  // throws like the constructor

  Index elements() const;                  // product of the sizes; throws Error where it overflows
  Index elements(int from, int to) const;  // product over axes [from, to)
  bool operator==(const Shape& other) const;
  std::string text() const;  // "(64,1,28,28)"

 private:
  std::array<Index, max_rank> sizes_{};
  int rank_ = 0;
};

// NumPy broadcasting of two shapes; throws Error naming both where they do not fit.
Shape broadcast_shapes(const Shape& a, const Shape& b);

// What is known of a value before it is computed.
struct Spec {
  Shape shape;
  DType dtype = DType::f32;
  bool operator==(const Spec&) const = default;
  std::string text() const;  // "f32 (64,1,28,28)"
};

}  // namespace wengert
