// The direct rung of pooling and of winners against the naive one and plain loops, on every vector target.
#include <doctest/doctest.h>

#include <wengert/backends/direct/elementwise.hpp>
#include <wengert/backends/naive/pool.hpp>

#include "direct_support.hpp"

namespace {

using namespace wengert;
using test::Floats;
using test::for_each_target;
using test::Integers;
using test::laid_out;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr Layout layouts[] = {Layout::nchw, Layout::nhwc8};

// Every window holds an element of the plane.
PoolGeometry random_geometry(std::mt19937& random) {
  PoolGeometry g;
  g.channels = test::one_of(random, 1, 19);
  const auto axis = [&](Index& size, Index& window, Index& out, Index& stride, Index& before, Index& after) {
    window = test::one_of(random, 1, 4);
    stride = test::one_of(random, 1, 4);
    size = test::one_of(random, window, test::one_of(random, 0, 3) == 0 ? 80 : 14);
    const bool padded = test::one_of(random, 0, 2) == 0;
    before = padded ? test::one_of(random, 0, window - 1) : 0;
    after = padded ? test::one_of(random, 0, window - 1) : 0;
    out = (size + before + after - window) / stride + 1;
    while (out > 1 && (out - 1) * stride - before >= size) --out;
  };
  axis(g.height, g.window_height, g.out_height, g.stride_height, g.pad_top, g.pad_bottom);
  axis(g.width, g.window_width, g.out_width, g.stride_width, g.pad_left, g.pad_right);
  g.count_padding = test::one_of(random, 0, 1) == 1;
  return g;
}

// The usual ones, then random ones.
std::vector<PoolGeometry> geometries() {
  std::vector<PoolGeometry> all;
  const auto square = [&](Index channels, Index size, Index window, Index stride, Index pad) {
    const Index out = (size + 2 * pad - window) / stride + 1;
    all.push_back({channels, size, size, window, window, out, out, stride, stride, pad, pad, pad, pad, false});
  };
  square(8, 20, 2, 2, 0);
  square(13, 21, 2, 2, 0);
  square(5, 64, 2, 2, 0);
  square(16, 15, 3, 2, 1);
  square(8, 9, 3, 3, 0);
  square(9, 7, 7, 1, 0);
  square(3, 1, 1, 1, 0);
  std::mt19937 random(1);
  while (all.size() < 120) all.push_back(random_geometry(random));
  return all;
}

struct Pooled {
  Floats y;
  Integers positions;
};

Shape shape_of(const PoolGeometry& g, Index images) { return {images, g.channels, g.height, g.width}; }
Shape out_shape_of(const PoolGeometry& g, Index images) { return {images, g.channels, g.out_height, g.out_width}; }

Pooled naive_max_pool(const PoolGeometry& g, Index images, Floats x) {
  const Index size = images * g.channels * g.out_height * g.out_width;
  Pooled result{Floats(size), Integers(size)};
  naive::max_pool2d(g, {x.data(), shape_of(g, images)}, {result.y.data(), out_shape_of(g, images)},
                    {result.positions.data(), out_shape_of(g, images), DType::i32});
  return result;
}

Floats laid_out_in(Layout layout, const PoolGeometry& g, Index images, const Floats& plain) {
  return laid_out(layout, images, g.channels, g.height * g.width, plain);
}
template <class T>
test::Guarded<T> laid_out_of(Layout layout, const PoolGeometry& g, Index images, const test::Guarded<T>& plain) {
  return laid_out(layout, images, g.channels, g.out_height * g.out_width, plain);
}

// Few distinct values, so that windows hold ties; at times NaN and infinities.
Floats tied_floats(std::mt19937& random, Index size, bool specials) {
  Floats values(size);
  for (Index i = 0; i < size; ++i) {
    values[i] = static_cast<float>(test::one_of(random, -3, 3));
    if (specials && test::one_of(random, 0, 7) == 0)
      values[i] = test::one_of(random, 0, 1) == 0 ? nan : values[i] < 0 ? -infinity : infinity;
  }
  return values;
}

// An average is rounded at every addition: within a bound of the wanted value.
Index first_outside(const Floats& got, const Floats& wanted, double bound) {
  for (Index i = 0; i < got.size(); ++i) {
    if (!(std::abs(static_cast<double>(got[i]) - static_cast<double>(wanted[i])) <= bound)) return i;
  }
  return got.size() == wanted.size() ? -1 : 0;
}

TEST_CASE("max pool: first maximum, first NaN, padding -inf; its gradient by position") {
  for_each_target([&] {
    std::mt19937 random(2);
    for (const PoolGeometry& g : geometries()) {
      const Index images = test::one_of(random, 0, 3);
      CAPTURE(g.describe());
      CAPTURE(images);
      const Floats plain = tied_floats(random, images * g.channels * g.height * g.width, test::one_of(random, 0, 1) == 0);
      const Pooled wanted = naive_max_pool(g, images, plain);
      Floats clipped = wanted.y;
      for (Index i = 0; i < clipped.size(); ++i) clipped[i] = clipped[i] <= 0 ? 0 : clipped[i];
      const Floats plain_dy = test::random_floats(random, wanted.y.size());
      Floats dx(plain.size());
      for (Index i = 0; i < plain_dy.size(); ++i)
        dx[i / (g.out_height * g.out_width) * g.height * g.width + wanted.positions[i]] += plain_dy[i];
      for (const Layout layout : layouts) {
        CAPTURE(name(layout));
        const Floats x = laid_out_in(layout, g, images, plain), wanted_y = laid_out_of(layout, g, images, wanted.y);
        const Integers wanted_positions = laid_out_of(layout, g, images, wanted.positions);
        Floats y(wanted_y.size(), 7), relu_y(y.size(), 7), alone(y.size(), 7), got_dx(x.size(), 7);
        Integers positions(y.size(), -7), relu_positions(y.size(), -7);
        direct::max_pool(layout, g, images, x.data(), false, y.data(), positions.data());
        direct::max_pool(layout, g, images, x.data(), true, relu_y.data(), relu_positions.data());
        direct::max_pool(layout, g, images, x.data(), false, alone.data(), nullptr);
        CHECK(test::first_difference(y, wanted_y) == -1);
        CHECK(test::first_difference(positions, wanted_positions) == -1);
        CHECK(test::first_difference(relu_y, laid_out_of(layout, g, images, clipped)) == -1);
        CHECK(test::same_bits(relu_positions, positions));
        CHECK(test::same_bits(alone, y));
        direct::max_pool_data(layout, g, images, laid_out_of(layout, g, images, plain_dy).data(), positions.data(), got_dx.data());
        CHECK(test::first_difference(got_dx, laid_out_in(layout, g, images, dx)) == -1);
        for (const Floats* out : {&y, &relu_y, &alone, &got_dx}) CHECK(out->intact());
        CHECK(positions.intact());
        CHECK(relu_positions.intact());
      }
    }
  });
}

TEST_CASE("average pool and its gradient") {
  for_each_target([&] {
    std::mt19937 random(3);
    for (const PoolGeometry& g : geometries()) {
      const Index images = test::one_of(random, 0, 3);
      CAPTURE(g.describe());
      CAPTURE(images);
      Floats plain = test::random_floats(random, images * g.channels * g.height * g.width);
      Floats wanted(images * g.channels * g.out_height * g.out_width), plain_dy = test::random_floats(random, wanted.size()),
                                                                       dx(plain.size());
      naive::average_pool2d(g, {plain.data(), shape_of(g, images)}, {wanted.data(), out_shape_of(g, images)});
      naive::average_pool2d_data(g, {plain_dy.data(), out_shape_of(g, images)}, {dx.data(), shape_of(g, images)});
      for (const Layout layout : layouts) {
        CAPTURE(name(layout));
        const Floats wanted_y = laid_out_of(layout, g, images, wanted), wanted_dx = laid_out_in(layout, g, images, dx);
        Floats y(wanted_y.size(), 7), got_dx(wanted_dx.size(), 7);
        direct::average_pool(layout, g, images, laid_out_in(layout, g, images, plain).data(), y.data());
        direct::average_pool_data(layout, g, images, laid_out_of(layout, g, images, plain_dy).data(), got_dx.data());
        CHECK(first_outside(y, wanted_y, 3e-6) == -1);
        CHECK(first_outside(got_dx, wanted_dx, 3e-6) == -1);
        CHECK(y.intact());
        CHECK(got_dx.intact());
      }
    }
  });
}

TEST_CASE("winners list what passes the gate, in order") {
  std::mt19937 random(4);
  for_each_target([&] {
    for (const Index channels : {1, 3, 8, 9, 16, 21}) {
      for (const Index pixels : {1, 3, 4, 7, 8, 9, 16, 25, 100, 101}) {
        for (const double open : {0.0, 0.12, 0.5, 1.0}) {
          CAPTURE(channels);
          CAPTURE(pixels);
          CAPTURE(open);
          const Index images = 2, size = images * channels * pixels;
          const WinnersLayout to{channels, pixels + test::one_of(random, 0, 3)};
          const Floats y = test::random_floats(random, size);
          Floats gate(size);
          Integers positions(size);
          std::bernoulli_distribution is_open(open), is_nan(0.1);
          for (Index i = 0; i < size; ++i) {
            positions[i] = static_cast<std::int32_t>(test::one_of(random, 0, 1 << 30));
            gate[i] = is_open(random) ? (is_nan(random) ? nan : 0.5f) : (is_nan(random) ? 0.0f : -1.0f);
          }
          for (const Layout layout : layouts) {
            Integers out(images * to.entries(), -1);
            direct::winners(layout, to, images, pixels, laid_out(layout, images, channels, pixels, y).data(),
                            laid_out(layout, images, channels, pixels, positions).data(),
                            laid_out(layout, images, channels, pixels, gate).data(), reinterpret_cast<float*>(out.data()));
            CHECK(out.intact());
            for (Index n = 0; n < images; ++n) {
              const Index image = n * to.entries();
              for (Index c = 0; c < channels; ++c) {
                Index count = 0;
                for (Index i = (n * channels + c) * pixels; i < (n * channels + c + 1) * pixels; ++i) {
                  if (gate[i] <= 0) continue;
                  float value;
                  std::memcpy(&value, &out[image + to.values_at(c) + count], sizeof value);
                  CHECK(value == y[i]);
                  CHECK(out[image + to.positions_at(c) + count] == positions[i]);
                  ++count;
                }
                CHECK(out[image + c] == count);
              }
              for (Index c = channels; c < to.counts(); ++c) CHECK(out[image + c] == 0);
            }
          }
        }
      }
    }
  });
}

}  // namespace
