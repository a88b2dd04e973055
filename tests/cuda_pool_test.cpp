// CUDA's pooling kernels in the emulator against the naive ones: bits are the same, in every order of threads.
#include <wengert/backends/cuda/kernels/pool.hpp>
#include <wengert/backends/naive/pool.hpp>

#include "cuda_kernels.hpp"

namespace {

using namespace wengert;
using namespace wengert::test;
using cuda::emulated::pool_functions;

Index one_of(std::mt19937& random, Index low, Index high) { return std::uniform_int_distribution<Index>(low, high)(random); }

// Every window holds an element of the plane.
PoolGeometry random_geometry(std::mt19937& random) {
  PoolGeometry g;
  g.channels = one_of(random, 1, 3);
  const auto axis = [&](Index& size, Index& window, Index& out, Index& stride, Index& before, Index& after) {
    window = one_of(random, 1, 4);
    stride = one_of(random, 1, 4);
    size = one_of(random, window, 11);
    const bool padded = one_of(random, 0, 1) == 0;
    before = padded ? one_of(random, 0, window - 1) : 0;
    after = padded ? one_of(random, 0, window - 1) : 0;
    out = (size + before + after - window) / stride + 1;
    while (out > 1 && (out - 1) * stride - before >= size) --out;
  };
  axis(g.height, g.window_height, g.out_height, g.stride_height, g.pad_top, g.pad_bottom);
  axis(g.width, g.window_width, g.out_width, g.stride_width, g.pad_left, g.pad_right);
  g.count_padding = one_of(random, 0, 1) == 1;
  return g;
}

std::vector<PoolGeometry> geometries() {
  std::vector<PoolGeometry> all = {{2, 20, 20, 2, 2, 10, 10, 2, 2, 0, 0, 0, 0, false},
                                   {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, false},
                                   {1, 7, 7, 7, 7, 1, 1, 1000, 1000, 0, 0, 0, 0, false},
                                   {3, 15, 15, 3, 3, 8, 8, 2, 2, 1, 1, 1, 1, false}};
  std::mt19937 random(1);
  while (all.size() < 40) all.push_back(random_geometry(random));
  return all;
}

Shape in_shape(const PoolGeometry& g, Index images) { return {images, g.channels, g.height, g.width}; }
Shape out_shape(const PoolGeometry& g, Index images) { return {images, g.channels, g.out_height, g.out_width}; }
template <class T>
std::vector<T> empty_of(const Shape& shape) {
  return std::vector<T>(static_cast<std::size_t>(shape.elements()));
}

using Pooled = std::tuple<Floats, Integers>;

Pooled naive_max_pool(const PoolGeometry& g, Index images, Floats x) {
  const Shape out = out_shape(g, images);
  Floats y = empty_of<float>(out);
  Integers positions = empty_of<std::int32_t>(out);
  naive::max_pool2d(g, {x.data(), in_shape(g, images)}, {y.data(), out}, {positions.data(), out, DType::i32});
  return {y, positions};
}

Pooled cuda_max_pool(const PoolGeometry& g, Index images, const Floats& x) {
  return in_all_orders([&](EmulatedDevice& device) -> Pooled {
    const Index size = out_shape(g, images).elements();
    float* const y = device.allocate<float>(size);
    auto* const positions = device.allocate<std::int32_t>(size);
    pool_functions().max_pool2d(device.queue(), g, images * g.channels, device.put(x), y, positions);
    return {device.get(y, size), device.get(positions, size)};
  });
}

void check_max_pool(const PoolGeometry& g, Index images, std::mt19937& random) {
  const Floats x = images % 2 == 1 ? special_floats(random, in_shape(g, images).elements()) : [&] {
    Floats ties = random_floats(random, in_shape(g, images).elements(), -2, 2);
    for (float& value : ties) value = std::round(value);
    return ties;
  }();
  const auto [y, positions] = naive_max_pool(g, images, x);
  const auto [got_y, got_positions] = cuda_max_pool(g, images, x);
  check_same(got_y, y);
  check_same(got_positions, positions);

  Floats dy = random_floats(random, size_of(y)), dx = empty_of<float>(in_shape(g, images));
  const Floats gate = special_floats(random, size_of(y));
  Floats open = dy;
  for (std::size_t i = 0; i < open.size(); ++i) open[i] = gate[i] <= 0.0f ? 0.0f : dy[i];
  Integers at = positions;
  naive::put_along(images * g.channels, {open.data(), out_shape(g, images)}, {at.data(), out_shape(g, images), DType::i32},
                   {dx.data(), in_shape(g, images)});
  check_same(in_all_orders([&](EmulatedDevice& device) {
               float* const data = device.allocate<float>(size_of(dx));
               pool_functions().winners(device.queue(), g, images * g.channels, device.put(dy), device.put(at), device.put(gate), data);
               return device.get(data, size_of(dx));
             }),
             dx);
}

TEST_CASE("cuda max pool and its gradient behind a ReLU: first maxima, NaN, padding, overlap") {
  std::mt19937 random(2);
  for (const PoolGeometry& g : geometries()) {
    CAPTURE(g.describe());
    for (const Index images : {0, 1, 2}) check_max_pool(g, images, random);
  }
}

void check_average_pool(const PoolGeometry& g, Index images, std::mt19937& random) {
  Floats x = special_floats(random, in_shape(g, images).elements()), y = empty_of<float>(out_shape(g, images));
  naive::average_pool2d(g, {x.data(), in_shape(g, images)}, {y.data(), out_shape(g, images)});
  check_same(in_all_orders([&](EmulatedDevice& device) {
               float* const to = device.allocate<float>(size_of(y));
               pool_functions().average_pool2d(device.queue(), g, images * g.channels, device.put(x), to);
               return device.get(to, size_of(y));
             }),
             y);
  Floats dy = random_floats(random, size_of(y)), dx = empty_of<float>(in_shape(g, images));
  naive::average_pool2d_data(g, {dy.data(), out_shape(g, images)}, {dx.data(), in_shape(g, images)});
  check_same(in_all_orders([&](EmulatedDevice& device) {
               float* const to = device.allocate<float>(size_of(dx));
               pool_functions().average_pool2d_data(device.queue(), g, images * g.channels, device.put(dy), to);
               return device.get(to, size_of(dx));
             }),
             dx);
}

TEST_CASE("cuda average pool and its gradient, with and without the padding counted") {
  std::mt19937 random(3);
  for (const PoolGeometry& g : geometries()) {
    CAPTURE(g.describe());
    for (const Index images : {0, 2}) check_average_pool(g, images, random);
  }
}

}  // namespace
