// Rung direct, convolution: the gradient of w from a dense y. Lanes are filters: the sums of a few filter rows of an input channel stay in
// registers over a band of output rows, four pixels of y at a time, and each input value, once broadcast, serves a run of taps. The same
// kernel reads planes of 8 channels and the plain planes of a first layer. Times itself through
//   wengert bench conv --kernel direct
#include <algorithm>
#include <cstdint>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/conv_weight.cpp>
#include <wengert/backends/direct/highway-inl.hpp>

#include <wengert/backends/direct/conv_tiles-inl.hpp>

#ifndef WENGERT_DIRECT_CONV_WEIGHT_ONCE
#define WENGERT_DIRECT_CONV_WEIGHT_ONCE
namespace wengert::direct {
namespace {

// A band of output rows against a few filter rows of one or more input channels.
struct Band {
  const float* in;
  Index in_row, tap_row, channel;  // floats between the inputs of output rows, of filter rows, of channels
  const float* y;                  // a vector a pixel
  Index y_row, rows, columns;
  float* w;         // vectors: taps of a filter row, filter rows
  Index w_channel;  // floats between channels
};
struct BandKind {
  Index taps = 1, rows = 1, channels = 1;
  LaneUse use = LaneUse::plain;
  Index in_pixel = plane_channels;
};
using AddBand = void (*)(const Band& band);

// Pixels of y as vectors, from two planes of 8 filters, two rows, or one plane twice; upper may be null. Adds them to `sums`.
struct SpreadCall {
  const float *lower, *upper;
  Index pixels;
  float *out, *sums;
};
struct WeightFunctions {
  Index lanes;
  AddBand (*pick)(const BandKind& kind);  // null where the registers do not suffice
  void (*spread)(LaneUse use, const SpreadCall& call);
  void (*sum)(Index pixels, const float* y, float* sums);
};

}  // namespace
}  // namespace wengert::direct
#endif

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace {

constexpr int y_pixel = lanes < 8 ? 8 : lanes;

template <int taps, int rows, int channels, LaneUse use, int in_pixel>
void add_band(const Band& band) {
  constexpr int at_once = 4;
  const D d;
  V sum[channels * rows * taps];
  UNROLL
  for (int c = 0; c < channels; ++c) {
    UNROLL
    for (int i = 0; i < rows * taps; ++i) sum[c * rows * taps + i] = hn::LoadU(d, band.w + c * band.w_channel + i * lanes);
  }
  for (Index row = 0; row < band.rows; ++row) {
    const float* HWY_RESTRICT in = band.in + row * band.in_row;
    const float* HWY_RESTRICT y = band.y + row * band.y_row;
    Index column = 0;
    for (; column + at_once <= band.columns; column += at_once) {
      V g[at_once];
      UNROLL
      for (int u = 0; u < at_once; ++u) g[u] = hn::LoadU(d, y + u * y_pixel);
      const float* p = in;
      OPAQUE(p);
      UNROLL
      for (int r = 0; r < rows; ++r) {
        UNROLL
        for (int x = 0; x < at_once + taps - 1; ++x) {
          UNROLL
          for (int c = 0; c < channels; ++c) {
            const V q =
                spread<use>(p + x * in_pixel + (in_pixel == plane_channels ? c * (use == LaneUse::plain ? 1 : 2) : c * band.channel));
            UNROLL
            for (int t = 0; t < taps; ++t)
              if (x - t >= 0 && x - t < at_once) sum[(c * rows + r) * taps + t] = hn::MulAdd(q, g[x - t], sum[(c * rows + r) * taps + t]);
          }
        }
        p += band.tap_row;
      }
      in += at_once * in_pixel;
      y += at_once * y_pixel;
    }
    for (; column < band.columns; ++column) {
      const V g = hn::LoadU(d, y);
      const float* p = in;
      UNROLL
      for (int r = 0; r < rows; ++r) {
        UNROLL
        for (int t = 0; t < taps; ++t) {
          UNROLL
          for (int c = 0; c < channels; ++c) {
            const V q =
                spread<use>(p + t * in_pixel + (in_pixel == plane_channels ? c * (use == LaneUse::plain ? 1 : 2) : c * band.channel));
            sum[(c * rows + r) * taps + t] = hn::MulAdd(q, g, sum[(c * rows + r) * taps + t]);
          }
        }
        p += band.tap_row;
      }
      in += in_pixel;
      y += y_pixel;
    }
  }
  UNROLL
  for (int c = 0; c < channels; ++c) {
    UNROLL
    for (int i = 0; i < rows * taps; ++i) hn::StoreU(sum[c * rows * taps + i], d, band.w + c * band.w_channel + i * lanes);
  }
}

template <int taps, int rows, int channels, LaneUse use, int in_pixel>
constexpr bool fits = channels* rows* taps + 5 <= registers || rows* channels == 1;

template <int taps, int rows, LaneUse use, int in_pixel>
AddBand pick_channels(Index channels) {
  if (channels == 1)
    if constexpr (fits<taps, rows, 1, use, in_pixel>) return &add_band<taps, rows, 1, use, in_pixel>;
  if (channels == 2)
    if constexpr (fits<taps, rows, 2, use, in_pixel> && taps * rows >= 3) return &add_band<taps, rows, 2, use, in_pixel>;
  if (channels == 4)
    if constexpr (fits<taps, rows, 4, use, in_pixel>) return &add_band<taps, rows, 4, use, in_pixel>;
  if (channels == 8)
    if constexpr (fits<taps, rows, 8, use, in_pixel> && use == LaneUse::plain && in_pixel == plane_channels)
      return &add_band<taps, rows, 8, use, in_pixel>;
  return nullptr;
}
template <int taps, LaneUse use, int in_pixel>
AddBand pick_rows(const BandKind& kind) {
  switch (kind.rows) {
    case 5: return pick_channels<taps, 5, use, in_pixel>(kind.channels);
    case 3: return pick_channels<taps, 3, use, in_pixel>(kind.channels);
    case 2: return pick_channels<taps, 2, use, in_pixel>(kind.channels);
    case 1: return pick_channels<taps, 1, use, in_pixel>(kind.channels);
    default: return nullptr;
  }
}
template <LaneUse use, int in_pixel>
AddBand pick_band_taps(const BandKind& kind) {
  switch (kind.taps) {
    case 7: return pick_rows<7, use, in_pixel>(kind);
    case 5: return pick_rows<5, use, in_pixel>(kind);
    case 3: return pick_rows<3, use, in_pixel>(kind);
    case 2: return pick_rows<2, use, in_pixel>(kind);
    case 1: return pick_rows<1, use, in_pixel>(kind);
    default: return nullptr;
  }
}
AddBand pick_band(const BandKind& kind) {
  if constexpr (lanes == 16) {
    if (kind.use == LaneUse::channel_pairs) return pick_band_taps<LaneUse::channel_pairs, plane_channels>(kind);
    if (kind.use == LaneUse::row_pairs) return pick_band_taps<LaneUse::row_pairs, 2>(kind);
  }
  return kind.in_pixel == 1 ? pick_band_taps<LaneUse::plain, 1>(kind) : pick_band_taps<LaneUse::plain, plane_channels>(kind);
}

// Four sums at a time, so that they do not wait for each other.
template <class PixelAt>
HWY_INLINE void add_pixels(Index pixels, float* sums, const PixelAt& pixel_at) {
  const D d;
  V sum[4] = {hn::LoadU(d, sums), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  Index i = 0;
  for (; i + 4 <= pixels; i += 4) {
    UNROLL
    for (int k = 0; k < 4; ++k) sum[k] = hn::Add(sum[k], pixel_at(i + k));
  }
  for (; i < pixels; ++i) sum[0] = hn::Add(sum[0], pixel_at(i));
  hn::StoreU(hn::Add(hn::Add(sum[0], sum[1]), hn::Add(sum[2], sum[3])), d, sums);
}

template <class Tag>
void spread_pixels(Tag d, LaneUse use, const SpreadCall& call) {
  if constexpr (lanes == 16) {
    alignas(64) std::int32_t order[16];
    for (int l = 0; l < 16; ++l) order[l] = use == LaneUse::plain ? l : use == LaneUse::channel_pairs ? l / 2 : l / 2 + l % 2 * 8;
    const auto lanes_from = hn::SetTableIndices(d, order);
    const D8 half;
    const auto pixel_at = [&](V8 upper, Index i) HWY_ATTR {
      const V v = hn::TableLookupLanes(hn::Combine(d, upper, hn::LoadU(half, call.lower + i * 8)), lanes_from);
      hn::StoreU(v, d, call.out + i * lanes);
      return v;
    };
    const float* const upper = call.upper;
    if (upper != nullptr) add_pixels(call.pixels, call.sums, [&](Index i) HWY_ATTR { return pixel_at(hn::LoadU(half, upper + i * 8), i); });
    else add_pixels(call.pixels, call.sums, [&](Index i) HWY_ATTR { return pixel_at(hn::Zero(half), i); });
  }
}
void spread_y(LaneUse use, const SpreadCall& call) { spread_pixels(D(), use, call); }

void sum_y(Index pixels, const float* y, float* sums) {
  add_pixels(pixels, sums, [&](Index i) HWY_ATTR { return hn::LoadU(D(), y + i * y_pixel); });
}

constexpr WeightFunctions functions{lanes, &pick_band, &spread_y, &sum_y};

}  // namespace
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <fmt/format.h>

#include <vector>
#include <wengert/backends/direct/conv_impl.hpp>
#include <wengert/backends/direct/target.hpp>

namespace wengert::direct {
namespace {

WeightFunctions weight_functions() {
  static constexpr WeightFunctions each[] = WENGERT_EACH_TARGET(functions);
  return each[target_index()];
}

constexpr Index band_floats = 6144;  // of x and y that stay in the nearest cache

// Some filter rows of a run of taps.
struct Piece {
  Index in, w;  // floats from the window's first pixel, from the channel's first sum
  Index channels;
  AddBand run;
};

struct YGroup {
  Index first = 0;  // filter
  LaneUse use = LaneUse::plain;
  std::vector<Piece> pieces;
};

class WeightConv final : public Conv {
 public:
  explicit WeightConv(const ConvTask& task)
      : task_(task),
        planar_(reads_planar(task.geometry, task.x)),
        functions_(weight_functions()),
        in_(input_of(task.geometry, planar_, true)),
        rows_(row_functions()),
        name_(target()) {
    const ConvGeometry& g = task.geometry;
    const Index lanes = functions_.lanes, padded = planes_of(g.filters) * plane_channels;
    in_.row_pairs = planar_ && lanes == 16 && padded == plane_channels;
    if (in_.row_pairs)
      in_.fit(in_.rows + g.stride_height, (g.out_width - 1) * g.stride_width + (g.kernel_width - 1) * g.dilation_width + 1);
    for (Index first = 0; first < padded; first += lanes) {
      const bool half = padded - first < lanes;
      const LaneUse use = !half ? LaneUse::plain : in_.row_pairs ? LaneUse::row_pairs : planar_ ? LaneUse::plain : LaneUse::channel_pairs;
      groups_.push_back({first, use, {}});
    }
    taps_ = g.kernel_height * g.kernel_width;
    place_taps();
    for (YGroup& group : groups_) place_pieces(group);
    reorders_x_ = task.x == Layout::nchw && !planar_, reorders_y_ = task.y == Layout::nchw;
    const Index pixels = g.out_height * g.out_width;
    buffer_at_ = space_.add(in_.buffer_floats());
    spread_at_ = space_.add(lanes == 16 ? pixels * lanes + g.out_width * lanes : 0);
    x_at_ = space_.add(reorders_x_ ? in_.image_floats() : 0);
    y_at_ = space_.add(reorders_y_ ? padded * pixels : 0);
  }

  std::string describe() const override {
    const Index filters = std::min(functions_.lanes, planes_of(task_.geometry.filters) * plane_channels);
    return fmt::format("{}, {} filters, {} channels a tile{}{}", name_, filters, groups_.front().pieces.front().channels,
                       planar_ ? ", planar input" : "", in_.copied ? ", input copied" : "");
  }
  Index packed_floats() const override { return 0; }
  void pack(const float*, float*) const override {}
  Index workspace_floats() const override { return space_.total(); }
  Index partial_floats() const override { return sums_floats() + static_cast<Index>(groups_.size()) * functions_.lanes; }

  void finish(const float* partial, float* w, float* bias) const override {
    const ConvGeometry& g = task_.geometry;
    const Index lanes = functions_.lanes;
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      const YGroup& group = groups_[i];
      const Index lane_step = group.use == LaneUse::plain ? 1 : 2, count = std::min(lanes / lane_step, g.filters - group.first);
      const float* const sums = partial + group_at(static_cast<Index>(i), 0);
      float* const to = w + group.first * g.channels * taps_;
      if (group.use == LaneUse::plain && taps_in_order_) rows_.to_planes(g.channels * taps_, count, lanes, sums, to);
      else
        for (Index filter = 0; filter < count; ++filter) finish_filter(group, sums + filter * lane_step, to + filter * g.channels * taps_);
      if (bias == nullptr) continue;
      const float* const total = partial + sums_floats() + static_cast<Index>(i) * lanes;
      for (Index filter = 0; filter < count; ++filter) bias[group.first + filter] = lane_sum(group, total + filter * lane_step);
    }
  }

  void run(const ConvCall& call) const override {
    const ConvGeometry& g = task_.geometry;
    std::memset(call.out, 0, static_cast<std::size_t>(partial_floats()) * sizeof(float));
    float* const buffer = call.workspace + buffer_at_;
    in_.clear(buffer);
    const Index x_pixels = g.height * g.width, y_pixels = g.out_height * g.out_width;
    const Index x_floats = reorders_x_ ? g.channels * x_pixels : in_.image_floats();
    const Index y_floats = y_pixels * (reorders_y_ ? g.filters : planes_of(g.filters) * plane_channels);
    for (Index n = 0; n < call.images; ++n) {
      const float *x = call.x + n * x_floats, *y = call.y + n * y_floats;
      if (reorders_x_) {
        to_blocks(rows_, g.channels, x_pixels, x, call.workspace + x_at_);
        x = call.workspace + x_at_;
      }
      if (reorders_y_) {
        to_blocks(rows_, g.filters, y_pixels, y, call.workspace + y_at_);
        y = call.workspace + y_at_;
      }
      if (in_.copied) {
        in_.gather(x, buffer, 0, in_.rows);
        x = buffer;
      }
      for (std::size_t i = 0; i < groups_.size(); ++i) add_group(static_cast<Index>(i), x, y, call.workspace + spread_at_, call.out);
    }
  }

 private:
  // Sums of a channel (or pair of channels) of a group: a vector a tap.
  Index units(LaneUse use) const { return planar_ ? 1 : use == LaneUse::channel_pairs ? plane_channels / 2 : plane_channels; }
  Index group_at(Index group, Index plane) const {
    const Index whole = units(LaneUse::plain) * taps_ * functions_.lanes;
    return group * in_.planes() * whole + plane * units(groups_[static_cast<std::size_t>(group)].use) * taps_ * functions_.lanes;
  }
  Index sums_floats() const { return static_cast<Index>(groups_.size()) * in_.planes() * units(LaneUse::plain) * taps_ * functions_.lanes; }

  Index& tap_at(Index ky, Index kx) { return tap_at_[static_cast<std::size_t>(ky * task_.geometry.kernel_width + kx)]; }

  static float lane_sum(const YGroup& group, const float* sum) { return group.use == LaneUse::row_pairs ? sum[0] + sum[1] : sum[0]; }

  void finish_filter(const YGroup& group, const float* sums, float* w) const {
    for (Index c = 0; c < task_.geometry.channels; ++c) {
      const bool pairs = group.use == LaneUse::channel_pairs;
      const float* const from = sums + (pairs ? c / 2 * taps_ * functions_.lanes + c % 2 : c * taps_ * functions_.lanes);
      for (Index t = 0; t < taps_; ++t) *w++ = lane_sum(group, from + tap_at_[static_cast<std::size_t>(t)] * functions_.lanes);
    }
  }

  // The sums stand by run, then filter row, then tap, so that the rows of a tile are neighbours.
  void place_taps() {
    const ConvGeometry& g = task_.geometry;
    TilePass pass;
    for (Index ky = 0; ky < g.kernel_height; ++ky)
      for (Index kx = 0; kx < g.kernel_width; ++kx) pass.taps.push_back({ky * g.dilation_height, kx * g.dilation_width, ky, kx});
    const auto runs = tap_runs(pass, in_);
    row_runs_.assign(runs.begin(), runs.begin() + static_cast<std::ptrdiff_t>(runs.size()) / g.kernel_height);
    tap_at_.resize(static_cast<std::size_t>(taps_));
    Index before = 0;
    for (const auto& run : row_runs_) {
      const auto width = static_cast<Index>(run.size());
      for (Index ky = 0; ky < g.kernel_height; ++ky)
        for (Index t = 0; t < width; ++t) tap_at(ky, run[static_cast<std::size_t>(t)].kx) = before + ky * width + t;
      before += width * g.kernel_height;
    }
    taps_in_order_ = std::is_sorted(tap_at_.begin(), tap_at_.end());
  }

  void place_pieces(YGroup& group) const {
    const ConvGeometry& g = task_.geometry;
    for (const auto& run : row_runs_) {
      const auto taps = static_cast<Index>(run.size());
      for (Index ky = 0; ky < g.kernel_height;) {
        BandKind kind{taps, 1, 1, group.use, in_.pixel};
        for (const Index rows : {5, 3, 2, 1}) {
          kind.rows = rows;
          if (rows <= g.kernel_height - ky && functions_.pick(kind) != nullptr) break;
        }
        if (!planar_)
          for (const Index channels : {8, 4, 2, 1}) {
            kind.channels = channels;
            if (channels <= units(group.use) && functions_.pick(kind) != nullptr) break;
          }
        const Index first = tap_at_[static_cast<std::size_t>(ky * g.kernel_width + run.front().kx)];
        group.pieces.push_back(
            {in_.at(ky * g.dilation_height, run.front().x), first * functions_.lanes, kind.channels, functions_.pick(kind)});
        ky += kind.rows;
      }
    }
  }

  void add_group(Index index, const float* x, const float* y, float* spread, float* partial) const {
    const ConvGeometry& g = task_.geometry;
    const YGroup& group = groups_[static_cast<std::size_t>(index)];
    const Index lanes = functions_.lanes, pixels = g.out_height * g.out_width, plane = pixels * plane_channels;
    float* const bias = partial + sums_floats() + index * lanes;
    const float* from = y + group.first / plane_channels * plane + group.first % plane_channels;
    Band band{};
    band.columns = g.out_width;
    Index rows = g.out_height, step = g.stride_height;
    if (lanes == 16) {
      if (group.use == LaneUse::row_pairs) {
        rows = (rows + 1) / 2, step *= 2;
        const Index row = g.out_width * plane_channels;
        for (Index i = 0; i < rows; ++i)
          functions_.spread(group.use, {from + 2 * i * row, 2 * i + 1 < g.out_height ? from + (2 * i + 1) * row : nullptr, g.out_width,
                                        spread + i * g.out_width * lanes, bias});
      } else {
        const bool both = group.first + plane_channels < planes_of(g.filters) * plane_channels;
        functions_.spread(group.use, {from,
                                      group.use == LaneUse::channel_pairs ? from
                                      : both                              ? from + plane
                                                                          : nullptr,
                                      pixels, spread, bias});
      }
      from = spread;
      band.y_row = g.out_width * lanes;
    } else {
      functions_.sum(pixels, from, bias);
      band.y_row = g.out_width * plane_channels;
    }
    band.in_row = step * in_.pitch, band.tap_row = g.dilation_height * in_.pitch, band.channel = in_.plane;
    band.w_channel = taps_ * lanes;
    const Index band_rows = std::max<Index>(1, band_floats / std::max<Index>(1, band.in_row + band.y_row));
    const Index channel_step = group.use == LaneUse::channel_pairs ? 2 : 1, per_plane = planar_ ? 1 : plane_channels;
    for (Index row = 0; row < rows; row += band_rows) {
      band.rows = std::min(band_rows, rows - row);
      band.y = from + row * band.y_row;
      for (Index p = 0; p < in_.planes(); ++p) {
        const float* const in = x + p * in_.plane + row * band.in_row;
        float* const sums = partial + group_at(index, p);
        const Index count = (std::min(per_plane, g.channels - p * per_plane) + channel_step - 1) / channel_step;
        for (const Piece& piece : group.pieces)
          for (Index u = 0; u < count; u += piece.channels) {
            band.in = in + piece.in + u * channel_step;
            band.w = sums + u * band.w_channel + piece.w;
            piece.run(band);
          }
      }
    }
  }

  ConvTask task_;
  bool planar_, reorders_x_ = false, reorders_y_ = false;
  WeightFunctions functions_;
  TileInput in_;
  RowFunctions rows_;
  std::string name_;
  Index taps_ = 0;
  std::vector<std::vector<Tap>> row_runs_;  // of one filter row
  std::vector<Index> tap_at_;               // of each tap among the sums
  bool taps_in_order_ = false;
  std::vector<YGroup> groups_;
  Workspace space_;
  Index buffer_at_ = 0, spread_at_ = 0, x_at_ = 0, y_at_ = 0;
};

}  // namespace

std::unique_ptr<const Conv> make_weight_conv(const ConvTask& task) { return std::make_unique<WeightConv>(task); }

}  // namespace wengert::direct
#endif
