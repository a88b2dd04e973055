// The direct convolution kernels on every vector target of the machine, against plain loops in double. Values are small integers, so that
// every kernel must be exact whatever its order of summation.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <wengert/backends/direct/conv.hpp>
#include <wengert/backends/direct/target.hpp>
#include <wengert/backends/winners.hpp>

using namespace wengert;
using direct::ConvCall;
using direct::ConvTask;
using Direction = ConvTask::Direction;

namespace {

constexpr float sentinel = 12345.0f;
const float nan_value = std::numeric_limits<float>::quiet_NaN();
const float infinity = std::numeric_limits<float>::infinity();
using Values = std::vector<double>;  // plain row-major
std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// 64-byte aligned words; behind them NaN (over-reading may not matter) or, behind outputs, sentinels.
class Buffer {
 public:
  explicit Buffer(Index count, float behind = nan_value)
      : count_(count), words_(static_cast<float*>(std::aligned_alloc(64, at((count + 95) / 16 * 64)))) {
    std::fill_n(words_.get(), count, nan_value);
    std::fill(words_.get() + count, words_.get() + (count + 95) / 16 * 16, behind);
  }
  float* data() const { return words_.get(); }
  std::int32_t* positions() const { return reinterpret_cast<std::int32_t*>(words_.get()); }
  float& operator[](Index i) const { return words_.get()[i]; }
  bool overrun() const {
    return !std::all_of(words_.get() + count_, words_.get() + (count_ + 95) / 16 * 16, [](float v) { return v == sentinel; });
  }

 private:
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  Index count_;
  std::unique_ptr<float, Free> words_;
};

Index floats_of(Layout layout, Index channels, Index pixels) {
  return layout == Layout::nchw ? channels * pixels : (channels + 7) / 8 * 8 * pixels;
}
Index index_of(Layout layout, Index channels, Index pixels, Index n, Index c, Index p) {
  if (layout == Layout::nchw) return (n * channels + c) * pixels + p;
  return ((n * ((channels + 7) / 8) + c / 8) * pixels + p) * 8 + c % 8;
}

Buffer lay_out(Layout layout, Index images, Index channels, Index pixels, const Values& plain) {
  Buffer made(images * floats_of(layout, channels, pixels));
  if (layout == Layout::nhwc8) std::fill_n(made.data(), images * floats_of(layout, channels, pixels), 0.0f);
  for (Index n = 0; n < images; ++n)
    for (Index c = 0; c < channels; ++c)
      for (Index p = 0; p < pixels; ++p)
        made[index_of(layout, channels, pixels, n, c, p)] = static_cast<float>(plain[at((n * channels + c) * pixels + p)]);
  return made;
}

std::mt19937 random_bits(11);
Index pick(Index low, Index high) { return std::uniform_int_distribution<Index>(low, high)(random_bits); }
Values integers(Index count) {
  Values made(at(count));
  for (double& v : made) v = static_cast<double>(pick(-4, 4));
  return made;
}

// Calls body(n, filter, channel, x index, w index, y index) for every product of the triple.
template <class Body>
void for_each_product(const ConvGeometry& g, Index images, const Body& body) {
  for (Index n = 0; n < images; ++n)
    for (Index k = 0; k < g.filters; ++k)
      for (Index i = 0; i < g.out_height; ++i)
        for (Index j = 0; j < g.out_width; ++j)
          for (Index c = 0; c < g.group_channels(); ++c)
            for (Index r = 0; r < g.kernel_height; ++r)
              for (Index s = 0; s < g.kernel_width; ++s) {
                const Index h = i * g.stride_height - g.pad_top + r * g.dilation_height,
                            v = j * g.stride_width - g.pad_left + s * g.dilation_width;
                if (h < 0 || h >= g.height || v < 0 || v >= g.width) continue;
                const Index channel = k / g.group_filters() * g.group_channels() + c;
                body(at(((n * g.channels + channel) * g.height + h) * g.width + v),
                     at(((k * g.group_channels() + c) * g.kernel_height + r) * g.kernel_width + s),
                     at(((n * g.filters + k) * g.out_height + i) * g.out_width + j));
              }
}

// A task with everything it needs.
struct Case {
  ConvTask task;
  Index images = 1;
  Values x, w, y, bias, gate;

  explicit Case(const ConvTask& task_, Index images_ = 2) : task(task_), images(images_) {
    const ConvGeometry& g = task.geometry;
    x = integers(images * g.channels * g.height * g.width);
    w = integers(g.filters * g.group_channels() * g.kernel_height * g.kernel_width);
    y = integers(images * g.filters * g.out_height * g.out_width);
    bias = integers(g.filters);
    gate = integers(images * g.channels * g.height * g.width);
  }

  std::string text() const {
    const char* directions[] = {"forward", "data", "weight"};
    std::string s = directions[static_cast<int>(task.direction)];
    s += " " + task.geometry.describe() + ", x " + name(task.x) + ", y " + name(task.y) + ", target " + direct::target() + ", images " +
         std::to_string(images);
    if (task.bias) s += ", bias";
    if (task.relu) s += ", relu";
    if (task.gate) s += ", gate";
    if (task.pool) s += ", pool " + task.pool->describe();
    return s;
  }
};

// The kernel's output compared with `want`, (images, channels, pixels) plain. Padding lanes must be zero.
void compare(const std::string& text, Layout layout, Index images, Index channels, Index pixels, const Values& want, const Buffer& got,
             double bound = 0) {
  REQUIRE_MESSAGE(!got.overrun(), text << ": written behind the output");
  for (Index n = 0; n < images; ++n)
    for (Index c = 0; c < (layout == Layout::nchw ? channels : (channels + 7) / 8 * 8); ++c)
      for (Index p = 0; p < pixels; ++p) {
        const double expected = c < channels ? want[at((n * channels + c) * pixels + p)] : 0.0;
        const double value = got[index_of(layout, channels, pixels, n, c, p)];
        const bool good = std::isnan(expected) ? std::isnan(value) : expected == value || std::abs(expected - value) <= bound;
        if (!good) FAIL(text << ": image " << n << ", channel " << c << ", pixel " << p << ": wanted " << expected << ", got " << value);
      }
}

Values convolve(const Case& c) {
  const ConvGeometry& g = c.task.geometry;
  Values y(at(c.images * g.filters * g.out_height * g.out_width));
  if (c.task.bias)
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = c.bias[i / at(g.out_height * g.out_width) % at(g.filters)];
  for_each_product(g, c.images, [&](std::size_t x, std::size_t w, std::size_t o) { y[o] += c.x[x] * c.w[w]; });
  return y;
}

void clip(Values& y) {
  for (double& v : y)
    if (v < 0) v = 0;
}

// The pooled values and the positions of the first maximum (or NaN) before clipping.
Values pool_of(const PoolGeometry& g, Index planes, const Values& y, std::vector<std::int32_t>& positions) {
  Values out;
  for (Index plane = 0; plane < planes; ++plane)
    for (Index i = 0; i < g.out_height; ++i)
      for (Index j = 0; j < g.out_width; ++j) {
        Index best = -1;
        const auto value = [&](Index p) { return y[at(plane * g.height * g.width + p)]; };
        for (Index r = 0; r < g.window_height; ++r)
          for (Index s = 0; s < g.window_width; ++s) {
            const Index h = i * g.stride_height - g.pad_top + r, v = j * g.stride_width - g.pad_left + s;
            if (h < 0 || h >= g.height || v < 0 || v >= g.width) continue;
            const Index p = h * g.width + v;
            if (best < 0 || (!std::isnan(value(best)) && (std::isnan(value(p)) || value(p) > value(best)))) best = p;
          }
        out.push_back(value(best));
        positions.push_back(static_cast<std::int32_t>(best));
      }
  return out;
}

Buffer packed_of(const direct::Conv& conv, const Values& w) {
  const std::vector<float> plain(w.begin(), w.end());
  Buffer packed(conv.packed_floats());
  conv.pack(plain.data(), packed.data());
  return packed;
}

void check_forward(const Case& c) {
  const ConvGeometry& g = c.task.geometry;
  REQUIRE_MESSAGE(direct::refuse_conv(c.task).empty(), c.text() << ": " << direct::refuse_conv(c.task));
  const auto conv = direct::make_conv(c.task);
  const Index pixels = g.out_height * g.out_width, pooled = c.task.pool ? c.task.pool->out_height * c.task.pool->out_width : pixels;
  const Buffer x = lay_out(c.task.x, c.images, g.channels, g.height * g.width, c.x), packed = packed_of(*conv, c.w);
  const Buffer workspace(conv->workspace_floats(), sentinel);
  const Buffer out(c.images * floats_of(c.task.y, g.filters, pooled), sentinel),
      at_positions(c.images * floats_of(c.task.y, g.filters, pooled), sentinel);
  const std::vector<float> bias(c.bias.begin(), c.bias.end());
  ConvCall call;
  call.images = c.images, call.x = x.data(), call.w = packed.data(), call.bias = c.task.bias ? bias.data() : nullptr;
  call.out = out.data(), call.workspace = workspace.data();
  if (c.task.pool) call.positions = at_positions.positions();
  conv->run(call);
  Values want = convolve(c);
  if (c.task.pool) {
    std::vector<std::int32_t> positions;
    want = pool_of(*c.task.pool, c.images * g.filters, want, positions);
    REQUIRE_MESSAGE(!at_positions.overrun(), c.text());
    for (Index n = 0; n < c.images; ++n)
      for (Index k = 0; k < g.filters; ++k)
        for (Index p = 0; p < pooled; ++p) {
          const std::int32_t expected = positions[at((n * g.filters + k) * pooled + p)];
          const std::int32_t got = at_positions.positions()[index_of(c.task.y, g.filters, pooled, n, k, p)];
          if (expected != got)
            FAIL(c.text() << ": position of image " << n << ", filter " << k << ", pixel " << p << ": wanted " << expected << ", got "
                          << got);
        }
  }
  if (c.task.relu) clip(want);
  compare(c.text(), c.task.y, c.images, g.filters, pooled, want, out);
  REQUIRE_MESSAGE(!workspace.overrun(), c.text() << ": written behind the workspace");
}

// y as winners: a few entries a channel, some positions twice; changes c.y to the dense gradient that they stand for.
Buffer winners_of(Case& c, const WinnersLayout& layout) {
  const Index pixels = c.task.geometry.out_height * c.task.geometry.out_width;
  Buffer made(c.images * layout.entries());
  std::fill(c.y.begin(), c.y.end(), 0.0);
  for (Index n = 0; n < c.images; ++n)
    for (Index k = 0; k < layout.channels; ++k) {
      const std::int32_t count = static_cast<std::int32_t>(pixels == 0 ? 0 : pick(0, layout.capacity));
      std::int32_t* const positions = made.positions() + n * layout.entries();
      positions[k] = count;
      for (Index i = 0; i < count; ++i) {
        const Index p = pick(0, pixels - 1);
        const double value = static_cast<double>(pick(-4, 4));
        made[n * layout.entries() + layout.values_at(k) + i] = static_cast<float>(value);
        positions[layout.positions_at(k) + i] = static_cast<std::int32_t>(p);
        c.y[at((n * layout.channels + k) * pixels + p)] += value;
      }
    }
  return made;
}

void check_gradient(Case c) {
  const ConvGeometry& g = c.task.geometry;
  REQUIRE_MESSAGE(direct::refuse_conv(c.task).empty(), c.text() << ": " << direct::refuse_conv(c.task));
  const auto conv = direct::make_conv(c.task);
  const Index pixels = g.height * g.width, filter = g.group_channels() * g.kernel_height * g.kernel_width;
  const Buffer y = c.task.y == Layout::winners ? winners_of(c, {g.filters, c.task.capacity})
                                               : lay_out(c.task.y, c.images, g.filters, g.out_height * g.out_width, c.y);
  const Buffer x = lay_out(c.task.x, c.images, g.channels, pixels, c.x), gate = lay_out(c.task.x, c.images, g.channels, pixels, c.gate);
  const Buffer workspace(conv->workspace_floats(), sentinel);
  ConvCall call;
  call.images = c.images, call.y = y.data(), call.workspace = workspace.data();
  if (c.task.direction == Direction::data) {
    const Buffer packed = packed_of(*conv, c.w), out(c.images * floats_of(c.task.x, g.channels, pixels), sentinel);
    call.w = packed.data(), call.gate = gate.data(), call.out = out.data();
    conv->run(call);
    Values want(c.x.size());
    for_each_product(g, c.images, [&](std::size_t i, std::size_t w, std::size_t o) { want[i] += c.y[o] * c.w[w]; });
    if (c.task.gate)
      for (std::size_t i = 0; i < want.size(); ++i)
        if (c.gate[i] <= 0) want[i] = 0;
    compare(c.text(), c.task.x, c.images, g.channels, pixels, want, out);
  } else {
    const Buffer partial(conv->partial_floats(), sentinel), w(g.filters * filter, sentinel), bias(g.filters, sentinel);
    call.x = x.data(), call.out = partial.data();
    conv->run(call);
    REQUIRE_MESSAGE(!partial.overrun(), c.text());
    conv->finish(partial.data(), w.data(), c.task.bias ? bias.data() : nullptr);
    Values want(at(g.filters * filter)), sums(at(g.filters));
    for_each_product(g, c.images, [&](std::size_t i, std::size_t k, std::size_t o) { want[k] += c.x[i] * c.y[o]; });
    for (std::size_t i = 0; i < c.y.size(); ++i) sums[i / at(g.out_height * g.out_width) % at(g.filters)] += c.y[i];
    compare(c.text(), Layout::nchw, 1, g.filters, filter, want, w);
    if (c.task.bias) compare(c.text() + ", the bias", Layout::nchw, 1, g.filters, 1, sums, bias);
  }
  REQUIRE_MESSAGE(!workspace.overrun(), c.text() << ": written behind the workspace");
}

Index out_size(Index in, Index kernel, Index stride, Index dilation, Index pad) {
  return (in + pad - (kernel - 1) * dilation - 1) / stride + 1;
}

ConvGeometry random_geometry(Index most_channels, bool plain) {
  for (;;) {
    ConvGeometry g;
    g.channels = pick(1, most_channels), g.filters = pick(1, 36), g.height = pick(1, 13), g.width = pick(1, 13);
    g.kernel_height = pick(1, 7), g.kernel_width = pick(1, 8);
    if (pick(0, 2) == 0) g.kernel_width = g.kernel_height;
    if (pick(0, 3) == 0) g.filters = 8;
    if (pick(0, 5) == 0) g.kernel_width = g.kernel_height = 1;
    if (pick(0, 9) == 0) g.width = pick(20, 50);
    if (!plain) {
      if (pick(0, 1) == 0) g.stride_height = pick(1, 3), g.stride_width = pick(1, 3);
      if (pick(0, 2) == 0) g.dilation_height = pick(1, 3), g.dilation_width = pick(1, 3);
      if (pick(0, 1) == 0) g.pad_top = pick(0, 4), g.pad_bottom = pick(0, 4), g.pad_left = pick(0, 4), g.pad_right = pick(0, 4);
    }
    if (g.height + g.pad_top + g.pad_bottom < (g.kernel_height - 1) * g.dilation_height + 1) continue;
    if (g.width + g.pad_left + g.pad_right < (g.kernel_width - 1) * g.dilation_width + 1) continue;
    g.out_height = out_size(g.height, g.kernel_height, g.stride_height, g.dilation_height, g.pad_top + g.pad_bottom);
    g.out_width = out_size(g.width, g.kernel_width, g.stride_width, g.dilation_width, g.pad_left + g.pad_right);
    return g;
  }
}

PoolGeometry random_pool(const ConvGeometry& g) {
  for (;;) {
    PoolGeometry p;
    p.channels = g.filters, p.height = g.out_height, p.width = g.out_width;
    p.window_height = pick(1, std::min<Index>(4, p.height)), p.window_width = pick(1, std::min<Index>(4, p.width));
    p.stride_height = pick(1, 4), p.stride_width = pick(1, 4);
    if (pick(0, 1) == 0) p.window_height = p.window_width = p.stride_height = p.stride_width = 2;
    p.pad_top = pick(0, p.window_height - 1), p.pad_left = pick(0, p.window_width - 1);
    if (p.height + p.pad_top < p.window_height || p.width + p.pad_left < p.window_width) continue;
    p.out_height = out_size(p.height, p.window_height, p.stride_height, 1, p.pad_top);
    p.out_width = out_size(p.width, p.window_width, p.stride_width, 1, p.pad_left);
    return p;
  }
}

// Once for every target of the machine, from the same seed.
template <class Body>
void on_every_target(const Body& body) {
  const std::string before = direct::target();
  for (const std::string& name : direct::targets()) {
    direct::set_target(name);
    random_bits.seed(11);
    body();
  }
  direct::set_target(before);
}

// Groups of any kind: depthwise, with several filters a channel, in whole planes of 8.
void in_groups(ConvGeometry& g) {
  g.groups = pick(1, 9);
  const Index channels = pick(0, 2) == 0 ? 8 * pick(1, 2) : pick(1, 5), filters = pick(0, 2) == 0 ? 8 * pick(1, 2) : pick(1, 5);
  g.channels = g.groups * channels, g.filters = g.groups * filters;
  if (pick(0, 2) == 0) g.groups = g.filters = g.channels = pick(1, 20);
}

Layout random_layout() { return pick(0, 2) == 0 ? Layout::nchw : Layout::nhwc8; }

}  // namespace

TEST_CASE("forward, any geometry") {
  on_every_target([] {
    for (int i = 0; i < 150; ++i) {
      ConvTask task;
      task.geometry = random_geometry(i % 3 == 0 ? 4 : 36, i % 4 == 0);
      task.x = i % 3 == 0 ? Layout::nchw : random_layout();
      task.y = random_layout();
      task.bias = pick(0, 1) == 0, task.relu = pick(0, 1) == 0;
      check_forward(Case(task, pick(0, 3)));
    }
  });
}

TEST_CASE("forward with max pool") {
  on_every_target([] {
    for (int i = 0; i < 150; ++i) {
      ConvTask task;
      task.geometry = random_geometry(i % 3 == 0 ? 4 : 20, i % 4 == 0);
      task.x = i % 3 == 0 ? Layout::nchw : random_layout();
      task.y = random_layout();
      task.bias = pick(0, 1) == 0, task.relu = pick(0, 1) == 0;
      task.pool = random_pool(task.geometry);
      check_forward(Case(task));
    }
  });
}

TEST_CASE("gradients from a dense y, any geometry") {
  on_every_target([] {
    for (int i = 0; i < 300; ++i) {
      ConvTask task;
      task.direction = i % 2 == 0 ? Direction::data : Direction::weight;
      task.geometry = random_geometry(i % 3 == 0 ? 4 : 36, i % 4 == 0);
      task.x = i % 3 == 0 ? Layout::nchw : random_layout();
      task.y = random_layout();
      task.bias = task.direction == Direction::weight && pick(0, 1) == 0, task.gate = task.direction == Direction::data && pick(0, 1) == 0;
      check_gradient(Case(task, pick(0, 3)));
    }
  });
}

TEST_CASE("gradients from winners, any geometry") {
  on_every_target([] {
    for (int i = 0; i < 300; ++i) {
      ConvTask task;
      task.direction = i % 2 == 0 ? Direction::data : Direction::weight;
      task.geometry = random_geometry(i % 3 == 0 ? 4 : 20, i % 4 == 0);
      task.x = i % 3 == 0 ? Layout::nchw : random_layout();
      task.y = Layout::winners;
      task.capacity = pick(1, 20);
      task.bias = task.direction == Direction::weight && pick(0, 1) == 0, task.gate = task.direction == Direction::data && pick(0, 1) == 0;
      check_gradient(Case(task, pick(0, 3)));
    }
  });
}

TEST_CASE("one output pixel") {
  on_every_target([] {
    for (int i = 0; i < 60; ++i) {
      ConvTask task;
      task.direction = static_cast<Direction>(i % 3);
      task.geometry = random_geometry(20, true);
      ConvGeometry& g = task.geometry;
      g.height = g.kernel_height + pick(0, 1), g.width = g.kernel_width + pick(0, 1);
      if (i % 2 == 0) g.channels = 8 * pick(1, 3);
      g.out_height = g.out_width = 1, g.stride_height = g.stride_width = 2;
      task.bias = task.direction != Direction::data, task.gate = task.direction == Direction::data && pick(0, 1) == 0;
      if (task.direction == Direction::forward) check_forward(Case(task, pick(0, 19)));
      else check_gradient(Case(task, pick(0, 19)));
    }
  });
}

TEST_CASE("groups") {
  on_every_target([] {
    for (int i = 0; i < 240; ++i) {
      ConvTask task;
      task.direction = static_cast<Direction>(i % 3);
      task.geometry = random_geometry(1, i % 4 == 0);
      in_groups(task.geometry);
      task.x = random_layout(), task.y = random_layout();
      task.bias = task.direction != Direction::data && pick(0, 1) == 0;
      if (task.direction == Direction::forward) {
        task.relu = pick(0, 1) == 0;
        if (pick(0, 1) == 0) task.pool = random_pool(task.geometry);
        check_forward(Case(task));
        continue;
      }
      task.gate = task.direction == Direction::data && pick(0, 1) == 0;
      if (pick(0, 2) == 0) task.y = Layout::winners, task.capacity = pick(1, 20);
      check_gradient(Case(task));
    }
  });
}

TEST_CASE("depthwise in blocks: any padding, stride and dilation, long rows") {
  on_every_target([] {
    for (int i = 0; i < 240; ++i) {
      ConvTask task;
      task.direction = static_cast<Direction>(i % 3);
      ConvGeometry& g = task.geometry = random_geometry(1, i % 4 == 0);
      if (pick(0, 1) == 0) {
        g.width += pick(8, 30);
        g.out_width = out_size(g.width, g.kernel_width, g.stride_width, g.dilation_width, g.pad_left + g.pad_right);
      }
      g.groups = g.filters = g.channels = pick(2, 20);
      task.bias = task.direction != Direction::data && pick(0, 1) == 0;
      task.relu = task.direction == Direction::forward && pick(0, 1) == 0;
      task.gate = task.direction == Direction::data && pick(0, 1) == 0;
      if (task.direction == Direction::forward) check_forward(Case(task, pick(0, 3)));
      else check_gradient(Case(task, pick(0, 3)));
    }
  });
}

TEST_CASE("NaN and infinities go where they belong") {
  on_every_target([] {
    for (int i = 0; i < 60; ++i) {
      ConvTask task;
      task.geometry = random_geometry(i % 3 == 0 ? 4 : 20, true);
      task.x = i % 3 == 0 ? Layout::nchw : Layout::nhwc8;
      task.relu = true;
      if (i % 2 == 0) task.pool = random_pool(task.geometry);
      Case c(task);
      for (double& v : c.w) v = v == 0 ? 1 : v;  // infinity times zero is another test
      for (int k = 0; k < 3; ++k) {
        c.x[at(pick(0, static_cast<Index>(c.x.size()) - 1))] = k == 0 ? static_cast<double>(nan_value) : static_cast<double>(infinity);
      }
      check_forward(c);
    }
  });
}
