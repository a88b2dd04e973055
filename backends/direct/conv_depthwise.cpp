// Rung direct, depthwise convolution (each channel its own filter) in planes of 8 channels: lanes are channels and, in wider vectors,
// neighbouring pixels. Outputs are cut into blocks that the same taps serve, the inside by all, the edges by those that do not lie in the
// padding, so that input is read in place; where most is edge, a plane is copied between borders of zeros instead. The weights (forward and
// data) or sums (weight) of up to 9 taps stay in registers. Times itself through
//   wengert bench conv --planned --kernel direct --groups G
#include <algorithm>
#include <limits>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/conv_depthwise.cpp>
#include <wengert/backends/direct/highway-inl.hpp>

#include <wengert/backends/direct/conv_tiles-inl.hpp>

#ifndef WENGERT_DIRECT_CONV_DEPTHWISE_ONCE
#define WENGERT_DIRECT_CONV_DEPTHWISE_ONCE
namespace wengert::direct {
namespace {

constexpr int most_taps = 9;  // at a time

// Floats behind a pixel of the input, and in the weights or sums of a plane.
struct DepthTap {
  Index in, w;
};
// Floats before the first pixel of a plane, between lines, and between the pixels of a line.
struct DepthWalk {
  Index first, line, pixel;
};
// Outputs that the same taps serve, row by row or, where few lie in a row, column by column.
struct DepthBlock {
  Index lines, pixels;
  DepthWalk in, out;
  std::vector<DepthTap> taps;
};

struct DepthOutputs {
  const float *in, *w, *bias;
  float* out;
  float floor;
};
struct DepthSums {
  const float *in, *y;
  float *sums, *y_sum;  // y_sum: of y itself
};
struct DepthFunctions {
  Index pixels;  // of a vector: lines of a multiple of them fill it
  void (*outputs)(const DepthBlock& block, const DepthOutputs& call);
  void (*sums)(const DepthBlock& block, const DepthSums& call);
};

}  // namespace
}  // namespace wengert::direct
#endif

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace {

// Of a vector; where it has 4 lanes, two make a pixel.
template <class Tag>
constexpr int pixels_of = hn::MaxLanes(Tag()) == 16 ? 2 : 1;

template <class Tag>
HWY_INLINE hn::Vec<Tag> load_pixels(Tag d, const float* p, Index pixel) {
  if constexpr (pixels_of<Tag> == 2) return load_parts(d, p, p + pixel);
  else return hn::LoadU(d, p);
}
template <class Tag>
HWY_INLINE void store_pixels(Tag d, hn::Vec<Tag> v, float* p, Index pixel) {
  if constexpr (pixels_of<Tag> == 2) store_parts(v, p, p + pixel);
  else hn::StoreU(v, d, p);
}
// Adds all pixels to the one at p.
template <class Tag>
HWY_INLINE void add_pixels([[maybe_unused]] Tag d, hn::Vec<Tag> v, float* p) {
  const D8 one;
  if constexpr (pixels_of<Tag> == 2) hn::StoreU(hn::Add(hn::LoadU(one, p), hn::Add(hn::LowerHalf(one, v), hn::UpperHalf(one, v))), one, p);
  else hn::StoreU(hn::Add(hn::LoadU(one, p), v), one, p);
}

template <int taps, class Tag>
void outputs_of_taps(const DepthBlock& b, const DepthOutputs& c, const DepthTap* tap) {
  const Tag d;
  constexpr Index step = pixels_of<Tag>;
  const bool more = tap != b.taps.data();  // add to what out holds
  const float least = tap + taps == b.taps.data() + b.taps.size() ? c.floor : -std::numeric_limits<float>::infinity();
  const Index pixels = b.pixels, in_step = step * b.in.pixel, out_pixel = b.out.pixel;
  for (int lane = 0; lane < 8; lane += half_lanes) {
    hn::Vec<Tag> w[most_taps];
    Index offset[most_taps];
    UNROLL
    for (int t = 0; t < taps; ++t) w[t] = load_pixels(d, c.w + tap[t].w + lane, 0), offset[t] = tap[t].in;
    const hn::Vec<Tag> bias = load_pixels(d, c.bias + lane, 0), floor = hn::Set(d, least);
    for (Index line = 0; line < b.lines; ++line) {
      const float* in = c.in + b.in.first + line * b.in.line + lane;
      float* out = c.out + b.out.first + line * b.out.line + lane;
      for (Index i = 0; i < pixels; i += step, in += in_step, out += step * out_pixel) {
        hn::Vec<Tag> sum = more ? load_pixels(d, out, out_pixel) : bias, other = hn::Zero(d);  // two chains
        UNROLL
        for (int t = 0; t < taps; ++t) {
          hn::Vec<Tag>& to = t % 2 == 0 ? sum : other;
          to = hn::MulAdd(w[t], hn::LoadU(d, in + offset[t]), to);
        }
        if constexpr (taps > 1) sum = hn::Add(sum, other);
        store_pixels(d, max_of(floor, sum), out, out_pixel);
      }
    }
  }
}

template <int taps, class Tag>
void sums_of_taps(const DepthBlock& b, const DepthSums& c, const DepthTap* tap) {
  const Tag d;
  constexpr Index step = pixels_of<Tag>;
  const Index pixels = b.pixels, in_step = step * b.in.pixel, y_step = step * b.out.pixel;
  for (int lane = 0; lane < 8; lane += half_lanes) {
    hn::Vec<Tag> sum[most_taps], y_sum = hn::Zero(d);
    Index offset[most_taps];
    UNROLL
    for (int t = 0; t < taps; ++t) sum[t] = hn::Zero(d), offset[t] = tap[t].in;
    for (Index line = 0; line < b.lines; ++line) {
      const float* in = c.in + b.in.first + line * b.in.line + lane;
      const float* y = c.y + b.out.first + line * b.out.line + lane;
      for (Index i = 0; i < pixels; i += step, in += in_step, y += y_step) {
        const hn::Vec<Tag> g = hn::LoadU(d, y);
        y_sum = hn::Add(y_sum, g);
        UNROLL
        for (int t = 0; t < taps; ++t) sum[t] = hn::MulAdd(g, hn::LoadU(d, in + offset[t]), sum[t]);
      }
    }
    UNROLL
    for (int t = 0; t < taps; ++t) add_pixels(d, sum[t], c.sums + tap[t].w + lane);
    if (tap == b.taps.data()) add_pixels(d, y_sum, c.y_sum + lane);
  }
}

// Calls the function for all taps of the block, most_taps at a time (or for none of them).
template <class Call>
void by_taps(const DepthBlock& b, const Call& call,
             void (*const (&functions)[most_taps + 1])(const DepthBlock&, const Call&, const DepthTap*)) {
  const DepthTap *tap = b.taps.data(), *const last = tap + b.taps.size();
  do {
    const Index count = std::min<Index>(most_taps, last - tap);
    functions[count](b, call, tap);
    tap += count;
  } while (tap != last);
}

template <class Tag>
void outputs_in(const DepthBlock& b, const DepthOutputs& c) {
  static constexpr decltype(&outputs_of_taps<0, Tag>) functions[] = {
      &outputs_of_taps<0, Tag>, &outputs_of_taps<1, Tag>, &outputs_of_taps<2, Tag>, &outputs_of_taps<3, Tag>, &outputs_of_taps<4, Tag>,
      &outputs_of_taps<5, Tag>, &outputs_of_taps<6, Tag>, &outputs_of_taps<7, Tag>, &outputs_of_taps<8, Tag>, &outputs_of_taps<9, Tag>};
  by_taps(b, c, functions);
}
template <class Tag>
void sums_in(const DepthBlock& b, const DepthSums& c) {
  static constexpr decltype(&sums_of_taps<0, Tag>) functions[] = {
      &sums_of_taps<0, Tag>, &sums_of_taps<1, Tag>, &sums_of_taps<2, Tag>, &sums_of_taps<3, Tag>, &sums_of_taps<4, Tag>,
      &sums_of_taps<5, Tag>, &sums_of_taps<6, Tag>, &sums_of_taps<7, Tag>, &sums_of_taps<8, Tag>, &sums_of_taps<9, Tag>};
  by_taps(b, c, functions);
}

bool wide(const DepthBlock& b, Index step) { return b.pixels % pixels_of<D> == 0 && step == 8; }
void depth_outputs(const DepthBlock& b, const DepthOutputs& c) { wide(b, b.in.pixel) ? outputs_in<D>(b, c) : outputs_in<D8>(b, c); }
void depth_sums(const DepthBlock& b, const DepthSums& c) {
  wide(b, std::max(b.in.pixel, b.out.pixel)) ? sums_in<D>(b, c) : sums_in<D8>(b, c);
}

constexpr DepthFunctions functions{pixels_of<D>, &depth_outputs, &depth_sums};

}  // namespace
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <wengert/backends/direct/conv_impl.hpp>
#include <wengert/backends/direct/target.hpp>

namespace wengert::direct {
namespace {

DepthFunctions depth_functions() {
  static constexpr DepthFunctions each[] = WENGERT_EACH_TARGET(functions);
  return each[target_index()];
}

// Neighbouring outputs of one axis that are served by the taps of places first to last (without it).
struct Stretch {
  Index begin, count, first, last;
};

// Output i reads i * stride + place, which for some taps lies outside 0 to size. The places go up or down.
std::vector<Stretch> stretches(Index outputs, Index stride, Index size, const std::vector<Index>& places) {
  std::vector<Stretch> made;
  for (Index i = 0; i < outputs; ++i) {
    const auto inside = [&](Index place) { return i * stride + place >= 0 && i * stride + place < size; };
    const auto from = std::find_if(places.begin(), places.end(), inside), to = std::find_if_not(from, places.end(), inside);
    const Index first = from - places.begin(), last = to - places.begin();
    if (!made.empty() && made.back().first == first && made.back().last == last) ++made.back().count;
    else made.push_back({i, 1, first, last});
  }
  return made;
}

// A plane of the input, of which `top` rows and `left` columns of padding are not there.
struct DepthInput {
  Index height, width, top, left, stride_height, stride_width;
};

// All outputs. The taps of a pass come row by row.
std::vector<DepthBlock> blocks_of(const Lowered& shape, const DepthInput& from, Index vector_pixels) {
  const Index in_row = from.width * plane_channels, out_row = shape.out_width * plane_channels;
  std::vector<DepthBlock> blocks;
  Index before = 0;  // taps of earlier passes
  for (const TilePass& pass : shape.passes) {
    std::vector<Index> rows, columns;
    for (const Tap& tap : pass.taps) {
      if (tap.x == pass.taps[0].x) rows.push_back(tap.y - from.top);
      if (tap.y == pass.taps[0].y) columns.push_back(tap.x - from.left);
    }
    const DepthWalk in{0, from.stride_height * in_row, from.stride_width * plane_channels};
    const DepthWalk out{pass.first_row * out_row + pass.first_column * plane_channels, shape.step_height * out_row,
                        shape.step_width * plane_channels};
    const auto add = [&](const Stretch& v, const Stretch& h) {
      const bool tall = h.count < 4 && h.count < v.count;
      DepthBlock b{tall ? h.count : v.count, tall ? v.count : h.count, in, out, {}};
      for (DepthWalk* walk : {&b.in, &b.out}) {
        walk->first += v.begin * walk->line + h.begin * walk->pixel;
        if (tall) std::swap(walk->line, walk->pixel);
      }
      for (Index r = v.first; r < v.last; ++r)
        for (Index s = h.first; s < h.last; ++s) {
          const Index row = rows[static_cast<std::size_t>(r)], column = columns[static_cast<std::size_t>(s)];
          const Index number = before + r * static_cast<Index>(columns.size()) + s;
          b.taps.push_back({row * in_row + column * plane_channels, number * plane_channels});
        }
      blocks.push_back(std::move(b));
    };
    for (const Stretch& v : stretches(pass.out_height, from.stride_height, from.height, rows))
      for (Stretch h : stretches(pass.out_width, from.stride_width, from.width, columns)) {
        const Index odd = in.pixel == plane_channels && h.count > vector_pixels ? h.count % vector_pixels : 0;
        if (odd > 0) add(v, {h.begin, odd, h.first, h.last});
        h.begin += odd, h.count -= odd;
        add(v, h);
      }
    before += static_cast<Index>(pass.taps.size());
  }
  // The inside first: it reads a plane from end to end.
  std::stable_sort(blocks.begin(), blocks.end(),
                   [](const DepthBlock& a, const DepthBlock& b) { return a.lines * a.pixels > b.lines * b.pixels; });
  return blocks;
}

// Cycles, roughly (Zen 3).
double cost_of(const std::vector<DepthBlock>& blocks) {
  double cost = 0;
  for (const DepthBlock& b : blocks) {
    const auto taps = static_cast<double>(b.taps.size()), calls = std::ceil(taps / most_taps);
    cost += 40 * calls + static_cast<double>(b.lines) * (8 * calls + static_cast<double>(b.pixels) * (2 * calls + 0.5 * taps));
  }
  return cost;
}
double copy_cost(const TileInput& in) { return 20 + static_cast<double>(in.rows) * (15 + static_cast<double>(in.columns)); }

class DepthwiseConv final : public Conv {
 public:
  explicit DepthwiseConv(const ConvTask& task)
      : task_(task),
        data_(task.direction == ConvTask::Direction::data),
        functions_(depth_functions()),
        rows_(row_functions()),
        name_(target()) {
    const ConvGeometry& g = task.geometry;
    Lowered shape = data_ ? shape_data(g) : shape_forward(g, false, true);
    for (const TilePass& pass : shape.passes)
      for (const Tap& tap : pass.taps) tap_.push_back(tap.ky * g.kernel_width + tap.kx);
    if (!data_) shape.in = input_of(g, false, false);
    in_ = shape.in;
    in_.channels = plane_channels;  // a plane at a time
    const Index stride_height = data_ ? 1 : g.stride_height, stride_width = data_ ? 1 : g.stride_width;
    blocks_ = blocks_of(shape, {in_.height, in_.width, in_.top, in_.left, stride_height, stride_width}, functions_.pixels);
    std::vector<DepthBlock> padded = blocks_of(shape, {in_.rows, in_.columns, 0, 0, stride_height, stride_width}, functions_.pixels);
    in_.copied = in_.copied && copy_cost(in_) + cost_of(padded) < cost_of(blocks_);
    if (in_.copied) blocks_ = std::move(padded);
  }

  std::string describe() const override { return fmt::format("{}, depthwise{}", name_, in_.copied ? ", input copied" : ""); }
  Index packed_floats() const override { return weight() ? 0 : planes() * taps() * plane_channels; }
  void pack(const float* w, float* packed) const override {
    if (weight()) return;
    std::memset(packed, 0, static_cast<std::size_t>(packed_floats()) * sizeof(float));
    for (Index c = 0; c < task_.geometry.channels; ++c)
      for (Index t = 0; t < taps(); ++t)
        packed[(c / plane_channels * taps() + t) * plane_channels + c % plane_channels] = w[c * taps() + tap_[static_cast<std::size_t>(t)]];
  }
  Index workspace_floats() const override { return in_.buffer_floats(); }
  Index partial_floats() const override { return weight() ? planes() * plane_sums() : 0; }
  void finish(const float* partial, float* w, float* bias) const override {
    for (Index p = 0; p < planes(); ++p) {
      const Index first = p * plane_channels, count = std::min(plane_channels, task_.geometry.channels - first);
      rows_.to_planes(taps(), count, plane_channels, partial + p * plane_sums(), w + first * taps());
      if (bias != nullptr) std::copy_n(partial + p * plane_sums() + taps() * plane_channels, count, bias + first);
    }
  }

  void run(const ConvCall& call) const override {
    if (weight()) std::memset(call.out, 0, static_cast<std::size_t>(partial_floats()) * sizeof(float));
    in_.clear(call.workspace);
    const ConvGeometry& g = task_.geometry;
    const Index x_plane = g.height * g.width * plane_channels, y_plane = g.out_height * g.out_width * plane_channels;
    for (Index n = 0; n < call.images; ++n)
      for (Index p = 0; p < planes(); ++p) {
        const Index i = n * planes() + p;
        const float* in = data_ ? call.y + i * y_plane : call.x + i * x_plane;
        if (in_.copied) {
          in_.gather(in, call.workspace, 0, in_.rows);
          in = call.workspace;
        }
        if (weight()) add_plane(in, call.y + i * y_plane, call.out + p * plane_sums());
        else run_plane(call, p, in, call.out + i * (data_ ? x_plane : y_plane));
        if (task_.gate) rows_.gate(x_plane, call.gate + i * x_plane, call.out + i * x_plane);
      }
  }

 private:
  bool weight() const { return task_.direction == ConvTask::Direction::weight; }
  Index planes() const { return planes_of(task_.geometry.channels); }
  Index taps() const { return static_cast<Index>(tap_.size()); }
  Index plane_sums() const { return (taps() + 1) * plane_channels; }

  void run_plane(const ConvCall& call, Index p, const float* in, float* out) const {
    float bias[plane_channels] = {};
    for (Index l = 0; task_.bias && l < plane_channels && p * plane_channels + l < task_.geometry.channels; ++l)
      bias[l] = call.bias[p * plane_channels + l];
    const float floor = task_.relu ? 0.0f : -std::numeric_limits<float>::infinity();
    for (const DepthBlock& block : blocks_) functions_.outputs(block, {in, call.w + p * taps() * plane_channels, bias, out, floor});
  }

  void add_plane(const float* in, const float* y, float* sums) const {
    for (const DepthBlock& block : blocks_) functions_.sums(block, {in, y, sums, sums + taps() * plane_channels});
  }

  ConvTask task_;
  bool data_;
  DepthFunctions functions_;
  RowFunctions rows_;
  std::string name_;
  TileInput in_;
  std::vector<DepthBlock> blocks_;
  std::vector<Index> tap_;  // its number in the plain filter
};

}  // namespace

std::unique_ptr<const Conv> make_depthwise_conv(const ConvTask& task) { return std::make_unique<DepthwiseConv>(task); }

}  // namespace wengert::direct
#endif
