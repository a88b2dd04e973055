#include <wengert/engine/types.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>
#include <wengert/engine/view.hpp>

namespace wengert {

const char* name(DType dtype) {
  switch (dtype) {
    case DType::f32: return "f32";
    case DType::f64: return "f64";
    case DType::i32: return "i32";
    default: return "u8";
  }
}

const char* name(Layout layout) {
  switch (layout) {
    case Layout::nchw: return "nchw";
    case Layout::nhwc8: return "nhwc8";
    case Layout::packed: return "packed";
    default: return "winners";
  }
}

const char* name(Device::Kind kind) { return kind == Device::Kind::cuda ? "cuda" : "cpu"; }
std::string text_of(Device device) {
  return device.kind == Device::Kind::cpu ? "cpu" : fmt::format("{}:{}", name(device.kind), device.index);
}

Shape::Shape(std::initializer_list<Index> sizes) : Shape(std::span<const Index>(sizes.begin(), sizes.size())) {}

Shape::Shape(std::span<const Index> sizes) {
  for (const Index size : sizes) push_back(size);
}

void Shape::push_back(Index size) {
  if (rank_ == max_rank) fail(fmt::format("wanted a shape of at most {} axes, got more: {} and another", max_rank, text()));
  if (size < 0) fail(fmt::format("wanted a shape with sizes of 0 or more, got {}", size));
  sizes_[static_cast<std::size_t>(rank_++)] = size;
}

Index Shape::elements() const { return elements(0, rank_); }

Index Shape::elements(int from, int to) const {
  Index product = 1;
  for (int axis = from; axis < to; ++axis) {
    if (__builtin_mul_overflow(product, (*this)[axis], &product)) fail("wanted a shape whose elements can be counted, got " + text());
  }
  return product;
}

bool Shape::operator==(const Shape& other) const { return std::equal(begin(), end(), other.begin(), other.end()); }

std::string Shape::text() const { return rank_ == 0 ? std::string("()") : fmt::format("({})", fmt::join(begin(), end(), ",")); }

Shape broadcast_shapes(const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape result;
  for (int axis = 0; axis < rank; ++axis) {
    const int in_a = axis - (rank - a.rank());
    const int in_b = axis - (rank - b.rank());
    const Index size_a = in_a < 0 ? 1 : a[in_a];
    const Index size_b = in_b < 0 ? 1 : b[in_b];
    if (size_a != size_b && size_a != 1 && size_b != 1) {
      fail("wanted shapes that broadcast together, got " + a.text() + " and " + b.text());
    }
    result.push_back(size_a == 1 ? size_b : size_a);
  }
  return result;
}

std::string Spec::text() const { return std::string(name(dtype)) + " " + shape.text(); }

View View::rows(Index first, Index count) const {
  assert(layout == Layout::nchw && shape.rank() >= 1 && first >= 0 && first + count <= shape[0]);
  View part = *this;
  part.shape[0] = count;
  part.data = static_cast<std::byte*>(data) + first * shape.elements(1, shape.rank()) * size_of(dtype);
  return part;
}

}  // namespace wengert
