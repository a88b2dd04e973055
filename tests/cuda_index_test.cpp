// CUDA's reading and adding at integer positions in the emulator against the naive kernels: bits are the same, in every order of threads.
#include <wengert/backends/cuda/kernels/index.hpp>
#include <wengert/backends/naive/index.hpp>
#include <wengert/backends/naive/pool.hpp>

#include "cuda_kernels.hpp"

namespace {

using namespace wengert;
using namespace wengert::test;
using cuda::AlongSizes;
using cuda::GatherSizes;
using cuda::emulated::index_functions;

const GatherSizes gathers[] = {{1, 5, 3, 9}, {9, 4, 3, 6}, {18, 7, 1, 1}, {1, 5, 3, 0}, {1, 1, 1, 6}, {2, 40, 17, 33}};

Integers indices_of(std::mt19937& random, const GatherSizes& s) {
  return random_integers(random, s.count, 0, static_cast<int>(s.size) - 1);
}

template <class T>
void check_gather(const GatherSizes& s, std::vector<T> x, Integers indices) {
  const Shape in{s.outer, s.size, s.inner}, out{s.outer, s.count, s.inner};
  std::vector<T> y(static_cast<std::size_t>(out.elements()));
  naive::gather(1, {x.data(), in, dtype_of<T>()}, {indices.data(), Shape{s.count}, DType::i32}, {y.data(), out, dtype_of<T>()});
  check_same(in_all_orders([&](EmulatedDevice& device) {
               T* const to = device.allocate<T>(out.elements());
               index_functions().gather(device.queue(), dtype_of<T>(), s, device.put(x), device.put(indices), to);
               return device.get(to, out.elements());
             }),
             y);
}

TEST_CASE("cuda gather, of all dtypes") {
  std::mt19937 random(1);
  for (const GatherSizes& s : gathers) {
    const Index size = s.outer * s.size * s.inner;
    check_gather(s, special_floats(random, size), indices_of(random, s));
    const Integers integers = random_integers(random, size, -100, 100);
    check_gather(s, integers, indices_of(random, s));
    check_gather(s, std::vector<std::uint8_t>(integers.begin(), integers.end()), indices_of(random, s));
  }
}

TEST_CASE("cuda scatter_add adds in the order of the indices") {
  std::mt19937 random(2);
  for (const GatherSizes& s : gathers) {
    const Shape out{s.outer, s.count, s.inner}, in{s.outer, s.size, s.inner};
    Floats y = random_floats(random, out.elements()), x(static_cast<std::size_t>(in.elements()));
    Integers indices = indices_of(random, s);
    naive::scatter_add(1, {y.data(), out}, {indices.data(), Shape{s.count}, DType::i32}, {x.data(), in});
    check_same(in_all_orders([&](EmulatedDevice& device) {
                 float* const to = device.allocate<float>(size_of(x));
                 index_functions().scatter_add(device.queue(), s, device.put(y), device.put(indices), to);
                 return device.get(to, size_of(x));
               }),
               x);
  }
}

TEST_CASE("cuda one_hot") {
  for (const Integers& classes : {Integers{2, 0, 1, 2}, Integers{}, Integers{1}}) {
    Integers at = classes;
    const Shape shape{size_of(at), 3};
    Floats y(static_cast<std::size_t>(shape.elements()));
    naive::one_hot({at.data(), Shape{size_of(at)}, DType::i32}, {y.data(), shape});
    check_same(in_all_orders([&](EmulatedDevice& device) {
                 float* const to = device.allocate<float>(size_of(y));
                 index_functions().one_hot(device.queue(), size_of(at), 3, device.put(at), to);
                 return device.get(to, size_of(y));
               }),
               y);
  }
}

// The last has several tiles a row.
const AlongSizes alongs[] = {{27, 20, 4}, {5, 7, 1}, {1, 6, 18}, {0, 7, 2}, {9, 1, 3}, {3, 300, 40}, {2, 9000, 50}, {4, 5, 0}};

TEST_CASE("cuda take_along and put_along") {
  std::mt19937 random(3);
  for (const AlongSizes& s : alongs) {
    CAPTURE(s.row_x);
    const Shape in{s.rows, s.row_x}, out{s.rows, s.row_y};
    Floats x = special_floats(random, in.elements()), y(static_cast<std::size_t>(out.elements()));
    Integers positions = random_integers(random, out.elements(), 0, static_cast<int>(s.row_x) - 1);
    const View at{positions.data(), out, DType::i32};
    naive::take_along(s.rows, {x.data(), in}, at, {y.data(), out});
    check_same(in_all_orders([&](EmulatedDevice& device) {
                 float* const to = device.allocate<float>(size_of(y));
                 index_functions().take_along(device.queue(), s, device.put(x), device.put(positions), to);
                 return device.get(to, size_of(y));
               }),
               y);
    y = random_floats(random, out.elements());
    naive::put_along(s.rows, {y.data(), out}, at, {x.data(), in});
    check_same(in_all_orders([&](EmulatedDevice& device) {
                 float* const to = device.allocate<float>(size_of(x));
                 index_functions().put_along(device.queue(), s, device.put(y), device.put(positions), to);
                 return device.get(to, size_of(x));
               }),
               x);
  }
}

TEST_CASE("cuda indices out of range touch no memory") {
  EmulatedDevice device;
  const Integers indices = {0, 2, 3, -1, 1};
  const std::int32_t* const at = device.put(indices);
  const float* const x = device.put(Floats{10, 11, 12});
  float* const y = device.allocate<float>(5);
  index_functions().gather(device.queue(), DType::f32, {1, 3, 1, 5}, x, at, y);
  check_same(device.get(y, 5), {10, 12, not_a_number, not_a_number, 11});
  index_functions().take_along(device.queue(), {1, 3, 5}, x, at, y);
  check_same(device.get(y, 5), {10, 12, not_a_number, not_a_number, 11});
  float* const sums = device.allocate<float>(3);
  index_functions().scatter_add(device.queue(), {1, 3, 1, 5}, device.put(Floats{1, 2, 4, 8, 16}), at, sums);
  check_same(device.get(sums, 3), {1, 16, 2});
  index_functions().put_along(device.queue(), {1, 3, 5}, device.put(Floats{1, 2, 4, 8, 16}), at, sums);
  check_same(device.get(sums, 3), {1, 16, 2});
}

}  // namespace
