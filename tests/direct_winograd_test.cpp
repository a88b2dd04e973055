// The Winograd kernels on every vector target of the machine: within their stated bound of plain loops in double; exactly where every number in
// between is a small integer, which filters that are multiples of 24 (squared for two dimensions) bring about. F(4x4,5x5) divides by 90, and what
// that takes to be whole no longer fits a float.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <wengert/backends/direct/conv.hpp>

#include "direct_support.hpp"

using namespace wengert;
using direct::ConvTask;
using test::Floats;
using test::Integers;
using test::one_of;
using Direction = ConvTask::Direction;

namespace {

struct Tiles {
  Index m, taps;
  double amplification;  // `a` of winograd.cpp
  bool exact;            // of small integers
};
constexpr Tiles all_tiles[] = {{2, 5, 3326, true}, {4, 5, 7531, false}, {2, 3, 64, true}, {4, 3, 2304, true}};

// A task with everything it needs.
struct Case {
  ConvTask task = {};
  Index m = 2, images = 1;
  Floats x{0}, w{0}, y{0}, bias{0}, gate{0};  // plain

  Index image_pixels() const { return task.geometry.height * task.geometry.width; }
  Index result_pixels() const { return task.geometry.out_height * task.geometry.out_width; }
  std::string text() const {
    std::string s = task.direction == Direction::data ? "data " : "forward ";
    s += task.geometry.describe() + ", m " + std::to_string(m) + ", images " + std::to_string(images) + ", x " + name(task.x) + ", y " +
         name(task.y);
    if (task.bias) s += ", bias";
    if (task.relu) s += ", relu";
    if (task.gate) s += ", gate";
    if (task.pool) s += ", pool " + task.pool->describe();
    return s;
  }
};

Floats integers(std::mt19937& random, Index size, int scale = 1) {
  Floats made(size);
  for (Index i = 0; i < size; ++i) made[i] = static_cast<float>(scale * one_of(random, -2, 2));
  return made;
}

Case random_case(std::mt19937& random, const Tiles& tiles, Direction direction, bool exact) {
  Case c;
  c.m = tiles.m, c.images = one_of(random, 0, 3);
  ConvGeometry& g = c.task.geometry;
  c.task.direction = direction;
  g.kernel_height = g.kernel_width = tiles.taps;
  g.channels = one_of(random, 1, 20), g.filters = one_of(random, 1, 36);
  if (one_of(random, 0, 2) == 0) g.channels = 8, g.filters = one_of(random, 1, 4) * 8;
  if (one_of(random, 0, 1) == 0) {
    g.pad_top = one_of(random, 0, tiles.taps - 1), g.pad_bottom = one_of(random, 0, tiles.taps + 1);
    g.pad_left = one_of(random, 0, tiles.taps - 1), g.pad_right = one_of(random, 0, tiles.taps + 1);
  }
  do {
    g.height = one_of(random, 1, 13), g.width = one_of(random, 0, 9) == 0 ? one_of(random, 30, 70) : one_of(random, 1, 16);
    g.out_height = g.height + g.pad_top + g.pad_bottom - tiles.taps + 1, g.out_width = g.width + g.pad_left + g.pad_right - tiles.taps + 1;
  } while (g.out_height < 1 || g.out_width < 1);
  c.task.x = one_of(random, 0, 2) == 0 ? Layout::nchw : Layout::nhwc8, c.task.y = one_of(random, 0, 2) == 0 ? Layout::nchw : Layout::nhwc8;
  c.task.bias = direction == Direction::forward && one_of(random, 0, 1) == 0,
  c.task.relu = direction == Direction::forward && one_of(random, 0, 1) == 0;
  c.task.gate = direction == Direction::data && one_of(random, 0, 1) == 0;
  const auto values = [&](Index size, int scale) { return exact ? integers(random, size, scale) : test::random_floats(random, size); };
  c.x = values(c.images * g.channels * c.image_pixels(), 1);
  c.w = values(g.filters * g.channels * tiles.taps * tiles.taps, 576);
  c.y = values(c.images * g.filters * c.result_pixels(), 1);
  c.bias = values(g.filters, 1);
  c.gate = integers(random, c.x.size());
  return c;
}

PoolGeometry random_pool(std::mt19937& random, const ConvGeometry& g) {
  PoolGeometry p;
  p.channels = g.filters, p.height = g.out_height, p.width = g.out_width;
  p.window_height = p.window_width = p.stride_height = p.stride_width = 2;
  if (one_of(random, 0, 1) == 0) {
    p.window_height = one_of(random, 1, 5), p.window_width = one_of(random, 1, 5);
    p.stride_height = one_of(random, 1, 6), p.stride_width = one_of(random, 1, 6);
    p.pad_top = one_of(random, 0, p.window_height - 1), p.pad_left = one_of(random, 0, p.window_width - 1);
  }
  p.window_height = std::min(p.window_height, p.height), p.window_width = std::min(p.window_width, p.width);
  p.pad_top = std::min(p.pad_top, p.window_height - 1), p.pad_left = std::min(p.pad_left, p.window_width - 1);
  p.out_height = (p.height + p.pad_top - p.window_height) / p.stride_height + 1,
  p.out_width = (p.width + p.pad_left - p.window_width) / p.stride_width + 1;
  return p;
}

using Doubles = std::vector<double>;
double& element(Doubles& values, Index i) { return values[static_cast<std::size_t>(i)]; }

// The result without what is fused, by plain loops: y of forward, x of data.
Doubles plain_result(const Case& c) {
  const ConvGeometry& g = c.task.geometry;
  const bool forward = c.task.direction == Direction::forward;
  Doubles result(static_cast<std::size_t>(c.images * (forward ? g.filters * c.result_pixels() : g.channels * c.image_pixels())));
  for (Index n = 0; n < c.images; ++n)
    for (Index k = 0; k < g.filters; ++k)
      for (Index i = 0; i < g.out_height; ++i)
        for (Index j = 0; j < g.out_width; ++j)
          for (Index channel = 0; channel < g.channels; ++channel)
            for (Index r = 0; r < g.kernel_height; ++r)
              for (Index s = 0; s < g.kernel_width; ++s) {
                const Index h = i - g.pad_top + r, v = j - g.pad_left + s;
                if (h < 0 || h >= g.height || v < 0 || v >= g.width) continue;
                const Index x = ((n * g.channels + channel) * g.height + h) * g.width + v,
                            y = ((n * g.filters + k) * g.out_height + i) * g.out_width + j;
                const double w = static_cast<double>(c.w[((k * g.channels + channel) * g.kernel_height + r) * g.kernel_width + s]);
                if (forward) element(result, y) += static_cast<double>(c.x[x]) * w;
                else element(result, x) += static_cast<double>(c.y[y]) * w;
              }
  return result;
}

// The first maximum (or NaN) of each window.
Doubles pooled(const PoolGeometry& g, Index planes, Doubles& y, std::vector<Index>& positions) {
  Doubles result;
  for (Index plane = 0; plane < planes; ++plane)
    for (Index i = 0; i < g.out_height; ++i)
      for (Index j = 0; j < g.out_width; ++j) {
        Index best = -1;
        const auto value = [&](Index p) { return element(y, plane * g.height * g.width + p); };
        for (Index h = std::max<Index>(0, i * g.stride_height - g.pad_top);
             h < std::min(g.height, i * g.stride_height - g.pad_top + g.window_height); ++h)
          for (Index v = std::max<Index>(0, j * g.stride_width - g.pad_left);
               v < std::min(g.width, j * g.stride_width - g.pad_left + g.window_width); ++v) {
            const Index p = h * g.width + v;
            if (best < 0 || value(p) > value(best)) best = p;
          }
        positions.push_back(best);
        result.push_back(value(best));
      }
  return result;
}

struct Outcome {
  Floats out;
  Integers positions;
  Layout layout;
  Index channels, pixels;
};

Outcome run(const Case& c) {
  const ConvGeometry& g = c.task.geometry;
  const bool forward = c.task.direction == Direction::forward;
  REQUIRE_MESSAGE(direct::refuse_winograd(c.task, c.m).empty(), c.text() << ": " << direct::refuse_winograd(c.task, c.m));
  const auto conv = direct::make_winograd(c.task, c.m);
  Floats packed(conv->packed_floats(), std::numeric_limits<float>::quiet_NaN()),
      workspace(conv->workspace_floats(), std::numeric_limits<float>::quiet_NaN());
  conv->pack(c.w.data(), packed.data());
  Outcome o{Floats(0), Integers(0), forward ? c.task.y : c.task.x, forward ? g.filters : g.channels,
            c.task.pool ? c.task.pool->out_height * c.task.pool->out_width
            : forward   ? c.result_pixels()
                        : c.image_pixels()};
  o.out = Floats(test::size_in(o.layout, c.images, o.channels, o.pixels), std::numeric_limits<float>::quiet_NaN());
  o.positions = Integers(o.out.size(), -1);
  const Floats x = test::laid_out(c.task.x, c.images, g.channels, c.image_pixels(), c.x);
  const Floats y = test::laid_out(c.task.y, c.images, g.filters, c.result_pixels(), c.y);
  const Floats gate = test::laid_out(c.task.x, c.images, g.channels, c.image_pixels(), c.gate);
  direct::ConvCall call;
  call.images = c.images, call.w = packed.data(), call.out = o.out.data(), call.workspace = workspace.data();
  if (forward)
    call.x = x.data(), call.bias = c.task.bias ? c.bias.data() : nullptr, call.positions = c.task.pool ? o.positions.data() : nullptr;
  else call.y = y.data(), call.gate = c.task.gate ? gate.data() : nullptr;
  conv->run(call);
  CHECK_MESSAGE((packed.intact() && workspace.intact() && o.out.intact() && o.positions.intact()), c.text() << ": written behind a buffer");
  return o;
}

// `bound`: of the difference, before what is fused.
void check(const Case& c, double bound) {
  const ConvGeometry& g = c.task.geometry;
  const Outcome got = run(c);
  Doubles want = plain_result(c);
  if (c.task.bias)
    for (Index i = 0; i < static_cast<Index>(want.size()); ++i)
      element(want, i) += static_cast<double>(c.bias[i / c.result_pixels() % g.filters]);
  if (c.task.gate)
    for (Index i = 0; i < static_cast<Index>(want.size()); ++i) element(want, i) = c.gate[i] <= 0 ? 0.0 : element(want, i);
  std::vector<Index> positions;
  Doubles dense = want;
  if (c.task.pool) want = pooled(*c.task.pool, c.images * g.filters, dense, positions);
  for (Index n = 0; n < c.images; ++n)
    for (Index k = 0; k < (got.layout == Layout::nchw ? got.channels : (got.channels + 7) / 8 * 8); ++k)
      for (Index p = 0; p < got.pixels; ++p) {
        const auto place = [&] {
          return c.text() + ": image " + std::to_string(n) + ", channel " + std::to_string(k) + ", pixel " + std::to_string(p);
        };
        const Index at = test::place(got.layout, got.channels, got.pixels, n, k, p), plain = (n * got.channels + k) * got.pixels + p;
        const double value = static_cast<double>(got.out[at]);
        if (k >= got.channels) {
          if (value != 0) FAIL(place() << ": a padding lane is " << value);
          continue;
        }
        const double expected = c.task.relu ? std::max(0.0, element(want, plain)) : element(want, plain);
        if (!(std::abs(value - expected) <= bound)) FAIL(place() << ": wanted " << expected << ", got " << value);
        if (!c.task.pool) continue;
        const Index best = positions[static_cast<std::size_t>(plain)], chosen = got.positions[at];
        const bool near = chosen >= 0 && chosen < c.result_pixels() &&
                          element(dense, (n * g.filters + k) * c.result_pixels() + chosen) >= element(want, plain) - 2 * bound;
        if (bound == 0 ? chosen != best : !near) FAIL(place() << ": wanted position " << best << ", got " << chosen);
      }
}

double stated_bound(const Case& c, const Tiles& tiles) {
  const double channels = static_cast<double>(c.task.direction == Direction::forward ? c.task.geometry.channels : c.task.geometry.filters);
  return tiles.amplification * (channels + 32) * channels * std::ldexp(1.0, -24);  // values are below 1
}

double worst_error(const Case& c, const Outcome& got) {
  const Doubles want = plain_result(c);
  double worst = 0;
  for (Index n = 0; n < c.images; ++n)
    for (Index k = 0; k < got.channels; ++k)
      for (Index p = 0; p < got.pixels; ++p)
        worst = std::max(worst, std::abs(static_cast<double>(got.out[test::place(got.layout, got.channels, got.pixels, n, k, p)]) -
                                         want[static_cast<std::size_t>((n * got.channels + k) * got.pixels + p)]));
  return worst;
}

// Zeros, in all channels of an image, within a rectangle of it or everywhere but there.
void blacken(std::mt19937& random, Floats& values, Index height, Index width) {
  const Index top = one_of(random, 0, height - 1), left = one_of(random, 0, width - 1);
  const Index bottom = one_of(random, top, height), right = one_of(random, left, width);
  const bool inside = one_of(random, 0, 1) == 0;
  for (Index i = 0; i < values.size(); ++i) {
    const Index row = i / width % height, column = i % width;
    if ((row >= top && row < bottom && column >= left && column < right) == inside) values[i] = 0;
  }
}

// Zero where a result's window holds only zeros.
Doubles reach_of(Case c) {
  for (Floats* values : {&c.x, &c.y, &c.w}) {
    for (Index i = 0; i < values->size(); ++i) (*values)[i] = values == &c.w ? 1 : std::abs((*values)[i]);
  }
  return plain_result(c);
}

// The first position of a pool's window, or -1 where it sees anything.
Index first_unseen(const PoolGeometry& g, const Doubles& seen, Index plane, Index p) {
  const Index top = p / g.out_width * g.stride_height - g.pad_top, left = p % g.out_width * g.stride_width - g.pad_left;
  for (Index h = std::max<Index>(0, top); h < std::min(g.height, top + g.window_height); ++h)
    for (Index v = std::max<Index>(0, left); v < std::min(g.width, left + g.window_width); ++v) {
      if (seen[static_cast<std::size_t>((plane * g.height + h) * g.width + v)] != 0) return -1;
    }
  return std::max<Index>(0, top) * g.width + std::max<Index>(0, left);
}

template <class Body>
void each_tile(const Body& body) {
  test::for_each_target([&] {
    std::mt19937 random(11);
    for (const Tiles& tiles : all_tiles) body(random, tiles);
  });
}

}  // namespace

TEST_CASE("winograd is exact where everything in between is") {
  each_tile([](std::mt19937& random, const Tiles& tiles) {
    for (int i = 0; i < 60 && tiles.exact; ++i) {
      Case c = random_case(random, tiles, i % 3 == 2 ? Direction::data : Direction::forward, true);
      if (i % 3 == 1) c.task.pool = random_pool(random, c.task.geometry);
      check(c, 0);
    }
  });
}

TEST_CASE("winograd is within its bound") {
  each_tile([](std::mt19937& random, const Tiles& tiles) {
    for (int i = 0; i < 30; ++i) {
      Case c = random_case(random, tiles, i % 3 == 2 ? Direction::data : Direction::forward, false);
      if (i % 3 == 1) c.task.pool = random_pool(random, c.task.geometry);
      check(c, stated_bound(c, tiles) / 20);  // rounding errors of random signs stay far below it
    }
  });
}

TEST_CASE("winograd gives exactly the bias where a window holds only zeros, whatever else its tile holds") {
  each_tile([](std::mt19937& random, const Tiles& tiles) {
    Index found = 0;
    for (int i = 0; i < 60; ++i) {
      Case c = random_case(random, tiles, i % 3 == 2 ? Direction::data : Direction::forward, false);
      const ConvGeometry& g = c.task.geometry;
      if (i % 3 == 1) c.task.pool = random_pool(random, g);
      c.task.gate = false;
      Floats& in = c.task.direction == Direction::data ? c.y : c.x;
      if (one_of(random, 0, 2) == 0) in = Floats(in.size());
      else
        blacken(random, in, c.task.direction == Direction::data ? g.out_height : g.height,
                c.task.direction == Direction::data ? g.out_width : g.width);
      const Outcome got = run(c);
      const Doubles seen = reach_of(c);
      for (Index n = 0; n < c.images; ++n)
        for (Index k = 0; k < got.channels; ++k)
          for (Index p = 0; p < got.pixels; ++p) {
            const Index at = test::place(got.layout, got.channels, got.pixels, n, k, p);
            const Index first = c.task.pool ? first_unseen(*c.task.pool, seen, n * got.channels + k, p) : p;
            if (first < 0 || (!c.task.pool && seen[static_cast<std::size_t>((n * got.channels + k) * got.pixels + p)] != 0)) continue;
            float wanted = c.task.bias ? c.bias[k] : 0.0f;
            if (c.task.relu) wanted = std::max(0.0f, wanted);
            ++found;
            if (got.out[at] != wanted) FAIL(c.text() << ": wanted " << wanted << " at pixel " << p << ", got " << got.out[at]);
            if (c.task.pool && got.positions[at] != first) FAIL(c.text() << ": wanted position " << first << ", got " << got.positions[at]);
          }
    }
    CHECK(found > 1000);
  });
}

TEST_CASE("winograd hides no NaN and no infinity of its filters behind zeros of x") {
  each_tile([](std::mt19937& random, const Tiles& tiles) {
    for (int i = 0; i < 20; ++i) {
      Case c = random_case(random, tiles, Direction::forward, false);
      c.x = Floats(c.x.size());
      c.task.relu = i % 2 == 0;
      const Index filter = one_of(random, 0, c.task.geometry.filters - 1), size = c.w.size() / c.task.geometry.filters;
      // The tap in the middle is seen by every result but some of the edges'.
      c.w[filter * size + one_of(random, 0, c.task.geometry.channels - 1) * tiles.taps * tiles.taps + tiles.taps * tiles.taps / 2] =
          i % 3 == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
      const Outcome got = run(c);
      for (Index n = 0; n < c.images; ++n)
        for (Index p = 0; p < got.pixels; ++p)
          CHECK_MESSAGE(std::isnan(got.out[test::place(got.layout, got.channels, got.pixels, n, filter, p)]), c.text());
    }
  });
}

TEST_CASE("winograd is within its bound for many channels too; the errors are printed") {
  each_tile([](std::mt19937& random, const Tiles& tiles) {
    for (const Index channels : {Index{64}, Index{128}, Index{256}}) {
      Case c;
      c.m = tiles.m, c.images = 1;
      ConvGeometry& g = c.task.geometry;
      g.kernel_height = g.kernel_width = tiles.taps;
      g.channels = channels, g.filters = 16;
      g.height = g.width = tiles.taps + 5, g.out_height = g.out_width = 6;
      c.x = test::random_floats(random, channels * c.image_pixels());
      c.w = test::random_floats(random, g.filters * channels * tiles.taps * tiles.taps);
      c.y = Floats(g.filters * c.result_pixels());
      c.gate = Floats(channels * c.image_pixels());
      check(c,
            stated_bound(c, tiles) / 1000);  // rounding errors of random signs grow as the root of the channels, the bound as their square
      const double worst = worst_error(c, run(c)), unit = std::ldexp(1.0, -24);
      MESSAGE(direct::target() << ", F(" << tiles.m << "x" << tiles.m << "," << tiles.taps << "x" << tiles.taps << "), " << channels
                               << " channels: error at most " << worst << " = " << worst / (unit * std::sqrt(static_cast<double>(channels)))
                               << " u sqrt(C), bound " << stated_bound(c, tiles));
    }
  });
}

TEST_CASE("winograd loses no NaN and no infinity") {
  each_tile([](std::mt19937& random, const Tiles& tiles) {
    for (int i = 0; i < 45; ++i) {
      Case c = random_case(random, tiles, Direction::forward, false);
      if (c.images == 0) continue;
      if (i % 2 == 0) c.task.pool = random_pool(random, c.task.geometry);
      const float strange[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                               -std::numeric_limits<float>::infinity()};
      c.x[one_of(random, 0, c.x.size() - 1)] = strange[i % 3];
      const Outcome got = run(c);
      Doubles dense = plain_result(c), want = dense;
      std::vector<Index> positions;
      if (c.task.pool) want = pooled(*c.task.pool, c.images * got.channels, dense, positions);
      for (Index n = 0; n < c.images; ++n)
        for (Index k = 0; k < (got.layout == Layout::nchw ? got.channels : (got.channels + 7) / 8 * 8); ++k)
          for (Index p = 0; p < got.pixels; ++p) {
            const double value = static_cast<double>(got.out[test::place(got.layout, got.channels, got.pixels, n, k, p)]);
            if (k >= got.channels) CHECK_MESSAGE(value == 0, c.text() << ": a padding lane");
            else if (!std::isfinite(element(want, (n * got.channels + k) * got.pixels + p))) CHECK_MESSAGE(std::isnan(value), c.text());
          }
    }
  });
}

TEST_CASE("winograd says what it refuses") {
  ConvTask task;
  task.geometry.kernel_height = task.geometry.kernel_width = 3;
  CHECK(direct::refuse_winograd(task, 4).empty());
  CHECK(direct::refuse_winograd(task, 3) == "it has no tiles of 3x3 for filters of 3x3");
  task.geometry.stride_width = 2;
  CHECK(direct::refuse_winograd(task, 4) == "it takes stride 1x1, not 1x2");
  task.geometry.stride_width = 1, task.geometry.groups = 2;
  CHECK(direct::refuse_winograd(task, 4) == "it takes one group, not 2");
  task.geometry.groups = 1, task.direction = Direction::weight;
  CHECK(direct::refuse_winograd(task, 4) == "it makes no gradient of w");
}
