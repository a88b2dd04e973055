// CUDA's copies, fills and casts in the emulator against plain loops: transposes, slices, pads, repeats, in every order of threads.
#include <wengert/backends/cuda/kernels/copy.hpp>
#include <wengert/engine/conversion.hpp>

#include "cuda_kernels.hpp"
#include "ops_support.hpp"

namespace {

using namespace wengert;
using namespace wengert::test;
using cuda::BoxSide;
using cuda::emulated::copy_functions;

// body(index along each axis) for every index of the box, in row-major order.
template <class Body>
void for_each_index(const Shape& box, const Body& body) {
  for (Index n = 0; n < box.elements(); ++n) {
    std::vector<Index> at(static_cast<std::size_t>(box.rank()));
    Index rest = n;
    for (int axis = box.rank() - 1; axis >= 0; --axis) {
      at[static_cast<std::size_t>(axis)] = rest % box[axis];
      rest /= box[axis];
    }
    body(at);
  }
}

Index place(const BoxSide& side, const std::vector<Index>& at) {
  Index result = side.first;
  for (std::size_t axis = 0; axis < at.size(); ++axis) result += at[axis] * side.strides[axis];
  return result;
}

// An array in which the box lies with its axes in this order, outermost first, with `gap` elements between neighbours of the innermost.
BoxSide side_of(const Shape& box, const std::vector<int>& order, Index gap, Index first) {
  BoxSide side;
  side.first = first;
  Index step = 1 + gap;
  for (auto axis = order.rbegin(); axis != order.rend(); ++axis) {
    side.strides[static_cast<std::size_t>(*axis)] = step;
    step *= box[*axis];
  }
  side.elements = first + step + 1;
  return side;
}

template <class T>
void check_box(const Shape& box, const BoxSide& from, const BoxSide& to) {
  CAPTURE(box.text());
  std::vector<T> source(static_cast<std::size_t>(from.elements));
  for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<T>(i % 251);
  const std::vector<T> old(static_cast<std::size_t>(to.elements), T{7});
  std::vector<T> wanted = old;
  for_each_index(box, [&](const std::vector<Index>& at) {
    wanted[static_cast<std::size_t>(place(to, at))] = source[static_cast<std::size_t>(place(from, at))];
  });
  check_same(in_all_orders([&](EmulatedDevice& device) {
               T* const target = device.put(old);
               copy_functions().box(device.queue(), dtype_of<T>(), box, device.put(source), from, target, to);
               return device.get(target, to.elements);
             }),
             wanted);
}

TEST_CASE("cuda copies: axes in any order, with gaps") {
  std::mt19937 random(1);
  for (int round = 0; round < 30; ++round) {
    Shape box;
    std::vector<int> order;
    const int rank = 1 + static_cast<int>(random() % 5);
    for (int axis = 0; axis < rank; ++axis) {
      box.push_back(1 + static_cast<Index>(random() % 5));
      order.push_back(axis);
    }
    std::vector<int> other = order;
    std::shuffle(other.begin(), other.end(), random);
    const Index gap = round % 3 == 0 ? 1 : 0;
    check_box<float>(box, side_of(box, other, gap, round % 4), side_of(box, order, 0, 1));
    check_box<float>(box, side_of(box, order, 0, 2), side_of(box, other, gap, round % 2));
  }
}

TEST_CASE("cuda copies: transposes by tiles, with ragged edges, of all dtypes") {
  const auto transpose = [](const Shape& box, const std::vector<int>& order) {
    std::vector<int> plain;
    for (int axis = 0; axis < box.rank(); ++axis) plain.push_back(axis);
    check_box<float>(box, side_of(box, order, 0, 0), side_of(box, plain, 0, 0));
    check_box<std::int32_t>(box, side_of(box, order, 0, 3), side_of(box, plain, 0, 0));
    check_box<std::uint8_t>(box, side_of(box, order, 0, 0), side_of(box, plain, 0, 5));
  };
  transpose({33, 41}, {1, 0});
  transpose({8, 70}, {1, 0});
  transpose({3, 17, 2, 9}, {0, 3, 1, 2});  // nchw to nhwc and back
  transpose({3, 9, 17, 2}, {0, 2, 3, 1});
  transpose({2, 9, 3, 11}, {3, 2, 1, 0});
}

TEST_CASE("cuda copies: a stride of 0 repeats, a contiguous box is one copy, an empty one none") {
  check_box<float>({3, 4, 5}, {4, 0, {0, 1, 0}}, side_of({3, 4, 5}, {0, 1, 2}, 0, 0));
  check_box<float>({6, 7}, {1, 0, {0, 0}}, side_of({6, 7}, {0, 1}, 0, 0));
  check_box<float>({2, 3, 4}, side_of({2, 3, 4}, {0, 1, 2}, 0, 5), side_of({2, 3, 4}, {0, 1, 2}, 0, 1));
  check_box<float>({2, 0, 4}, side_of({2, 0, 4}, {0, 1, 2}, 0, 0), side_of({2, 0, 4}, {0, 1, 2}, 0, 0));
  check_box<float>({}, {1, 0, {}}, {2, 1, {}});
}

TEST_CASE("cuda copies: blocks that move several tiles") {
  const Shape box{2051, 9, 8};
  const BoxSide from = side_of(box, {0, 2, 1}, 0, 0), to = side_of(box, {0, 1, 2}, 0, 0);
  Floats source(static_cast<std::size_t>(from.elements)), wanted(static_cast<std::size_t>(to.elements));
  for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<float>(i);
  for_each_index(box, [&](const std::vector<Index>& at) {
    wanted[static_cast<std::size_t>(place(to, at))] = source[static_cast<std::size_t>(place(from, at))];
  });
  check_same(in_two_orders([&](EmulatedDevice& device) {
               float* const target = device.put(Floats(wanted.size()));
               copy_functions().box(device.queue(), DType::f32, box, device.put(source), from, target, to);
               return device.get(target, to.elements);
             }),
             wanted);
}

TEST_CASE("cuda fills: any dtype that a device has") {
  const auto filled = [](DType dtype, double value, auto zero) {
    return in_all_orders([&](EmulatedDevice& device) {
      auto* const to = device.allocate<decltype(zero)>(301);
      copy_functions().fill(device.queue(), dtype, value, 301, to);
      return device.get(to, 301);
    });
  };
  check_same(filled(DType::f32, 2.5, float{}), Floats(301, 2.5f));
  check_same(filled(DType::i32, -7, std::int32_t{}), Integers(301, -7));
  check_same(filled(DType::u8, 255, std::uint8_t{}), std::vector<std::uint8_t>(301, 255));
  EmulatedDevice device;
  CHECK(contains(message_of([&] { copy_functions().fill(device.queue(), DType::f64, 0, 1, nullptr); }), "wanted f32, i32 or u8"));
}

template <class To, class From>
void check_cast(const std::vector<From>& from) {
  std::vector<To> wanted;
  for (const From value : from) wanted.push_back(converted<To>(value));
  check_same(in_all_orders([&](EmulatedDevice& device) {
               To* const to = device.allocate<To>(size_of(from));
               copy_functions().cast(device.queue(), dtype_of<From>(), dtype_of<To>(), size_of(from), device.put(from), to);
               return device.get(to, size_of(from));
             }),
             wanted);
}

TEST_CASE("cuda casts: as the CPU's") {
  const Floats fits = {0.0f, 1.9f, -0.9f, 255.5f, 3.0f};
  check_cast<std::int32_t>(fits);
  check_cast<std::uint8_t>(fits);
  check_cast<float>(fits);
  check_cast<std::int32_t>(Floats{2147483520.0f, -2147483648.0f});
  const Integers whole = {0, 255, 256, -1, 16777217, 2147483647, -2147483647};
  check_cast<float>(whole);
  check_cast<std::int32_t>(whole);
  check_cast<std::uint8_t>(Integers{0, 255, 7});
  const std::vector<std::uint8_t> bytes = {0, 1, 200, 255};
  check_cast<float>(bytes);
  check_cast<std::int32_t>(bytes);
  check_cast<std::uint8_t>(bytes);
}

}  // namespace
