// Rung direct, convolution: both gradients from winners, the few positions behind max pool and ReLU that carry any. For each entry of a
// channel's list the filter's window of x, whole rows of vectors, is added up in registers (weight), or the filter, held in registers, is
// added to the window (data). Times itself through
//   wengert bench conv --kernel direct
#include <algorithm>
#include <cstdint>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/conv_winners.cpp>
#include <wengert/backends/direct/conv_lower.hpp>
#include <wengert/backends/direct/highway-inl.hpp>

#ifndef WENGERT_DIRECT_CONV_WINNERS_ONCE
#define WENGERT_DIRECT_CONV_WINNERS_ONCE
namespace wengert::direct {
namespace {

// One channel's list, and where in a plane of the (padded) input the window of each position starts.
struct WinnerList {
  Index count;
  const float* values;
  const std::int32_t* positions;
  const std::int32_t* offsets;
};
// Rows of whole vectors of 8 (or 4) lanes, `in_row` and `w_row` floats apart.
// The sum of the values is added to *bias unless that is null.
using AddWindows = void (*)(const WinnerList& list, const float* in, Index in_row, float* w, Index w_row, float* bias);
using AddFilters = void (*)(const WinnerList& list, const float* w, Index w_row, float* out, Index out_row);
constexpr int most_rows = 7, most_vectors = 12;
struct WinnerFunctions {
  Index lanes, kept;  // of a vector; vectors that stay in registers
  AddWindows weight[most_rows][most_vectors];
  AddFilters data[most_rows][most_vectors];
};

}  // namespace
}  // namespace wengert::direct
#endif

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace {

constexpr int part = lanes < 8 ? lanes : 8;
using DP = hn::FixedTag<float, part>;
using VP = hn::Vec<DP>;
constexpr int kept = registers == 32 ? 28 : 13;

template <int rows, int vectors>
HWY_NOINLINE void add_windows(const WinnerList& list, const float* in, Index in_row, float* w, Index w_row, float* bias) {
  // `wide` vectors of 16 lanes and `narrow` of 8 a row.
  constexpr int wide = lanes > part ? vectors / 2 : 0, narrow = vectors - 2 * wide, a = wide > 0 ? wide : 1, b = narrow > 0 ? narrow : 1;
  const D d;
  const DP dp;
  V sum[rows * a];
  VP rest[rows * b];
  UNROLL
  for (int r = 0; r < rows; ++r) {
    UNROLL
    for (int v = 0; v < wide; ++v) sum[r * a + v] = hn::LoadU(d, w + r * w_row + v * lanes);
    UNROLL
    for (int v = 0; v < narrow; ++v) rest[r * b + v] = hn::LoadU(dp, w + r * w_row + wide * lanes + v * part);
  }
  float total = 0;
  for (Index i = 0; i < list.count; ++i) {
    const V g = hn::Set(d, list.values[i]);
    const VP gp = hn::Set(dp, list.values[i]);
    total += list.values[i];
    const float* p = in + list.offsets[list.positions[i]];
    UNROLL
    for (int r = 0; r < rows; ++r) {
      UNROLL
      for (int v = 0; v < wide; ++v) sum[r * a + v] = hn::MulAdd(g, hn::LoadU(d, p + v * lanes), sum[r * a + v]);
      UNROLL
      for (int v = 0; v < narrow; ++v) rest[r * b + v] = hn::MulAdd(gp, hn::LoadU(dp, p + wide * lanes + v * part), rest[r * b + v]);
      p += in_row;
      OPAQUE(p);
    }
  }
  if (bias != nullptr) *bias += total;
  UNROLL
  for (int r = 0; r < rows; ++r) {
    UNROLL
    for (int v = 0; v < wide; ++v) hn::StoreU(sum[r * a + v], d, w + r * w_row + v * lanes);
    UNROLL
    for (int v = 0; v < narrow; ++v) hn::StoreU(rest[r * b + v], dp, w + r * w_row + wide * lanes + v * part);
  }
}

// In vectors of one pixel: what one entry stores is then never read in other pieces by the next.
template <int rows, int vectors>
HWY_NOINLINE void add_filters(const WinnerList& list, const float* w, Index w_row, float* out, Index out_row) {
  const DP d;
  VP k[rows * vectors];
  UNROLL
  for (int r = 0; r < rows; ++r) {
    UNROLL
    for (int v = 0; v < vectors; ++v) k[r * vectors + v] = hn::LoadU(d, w + r * w_row + v * part);
  }
  // Copies, since for all the compiler knows the stores below change `list`.
  const float* const HWY_RESTRICT values = list.values;
  const std::int32_t *const HWY_RESTRICT positions = list.positions, *const HWY_RESTRICT offsets = list.offsets;
  const Index count = list.count;
  for (Index i = 0; i < count; ++i) {
    const VP g = hn::Set(d, values[i]);
    float* p = out + offsets[positions[i]];
    UNROLL
    for (int r = 0; r < rows; ++r) {
      UNROLL
      for (int v = 0; v < vectors; ++v) hn::StoreU(hn::MulAdd(g, k[r * vectors + v], hn::LoadU(d, p + v * part)), d, p + v * part);
      p += out_row;
      OPAQUE(p);
    }
  }
}

template <int i = 0>
constexpr void fill(WinnerFunctions& table) {
  if constexpr (i < most_rows * most_vectors) {
    constexpr int rows = i / most_vectors + 1, vectors = i % most_vectors + 1;
    if constexpr (rows * vectors <= kept) {
      table.weight[rows - 1][vectors - 1] = &add_windows<rows, vectors>;
      table.data[rows - 1][vectors - 1] = &add_filters<rows, vectors>;
    }
    fill<i + 1>(table);
  }
}
constexpr WinnerFunctions make_table() {
  WinnerFunctions table{part, kept, {}, {}};
  fill(table);
  return table;
}
constexpr WinnerFunctions functions = make_table();

}  // namespace
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <fmt/format.h>

#include <vector>
#include <wengert/backends/direct/conv_impl.hpp>
#include <wengert/backends/direct/target.hpp>
#include <wengert/backends/winners.hpp>

namespace wengert::direct {
namespace {

const WinnerFunctions& winner_functions() {
  static constexpr const WinnerFunctions* each[] = {
#if HWY_ARCH_X86
    &N_AVX3::functions,
    &N_AVX2::functions,
    &N_SSE4::functions
#else
    &N_NEON::functions
#endif
  };
  return *each[target_index()];
}

// A part of the filter whose rows fit the registers.
struct Part {
  Index in, w;  // floats from the window's and the filter's first
  Index rows, vectors;
};

class WinnersConv final : public Conv {
 public:
  explicit WinnersConv(const ConvTask& task)
      : task_(task),
        weight_(task.direction == ConvTask::Direction::weight),
        planar_(weight_ && reads_planar(task.geometry, task.x)),
        list_{task.geometry.filters, task.capacity},
        in_(input_of(task.geometry, planar_, false)),
        functions_(&winner_functions()),
        rows_(row_functions()),
        name_(target()) {
    const ConvGeometry& g = task.geometry;
    for (Index i = 0; i < g.out_height; ++i)
      for (Index j = 0; j < g.out_width; ++j)
        offsets_.push_back(static_cast<std::int32_t>(in_.at(i * g.stride_height, j * g.stride_width)));
    // A filter row is one run of floats, unless dilation parts its taps.
    const bool runs = g.dilation_width == 1;
    const Index lanes = functions_->lanes, taps = runs ? g.kernel_width : 1;
    run_ = (taps * in_.pixel + lanes - 1) / lanes * lanes;
    filter_row_ = run_ * (g.kernel_width / taps);
    filter_plane_ = filter_row_ * g.kernel_height;
    const Index vectors = run_ / lanes, pieces = (vectors + most_vectors - 1) / most_vectors, step = (vectors + pieces - 1) / pieces;
    const Index most = std::min<Index>(most_rows, std::max<Index>(1, functions_->kept / step)), bands = (g.kernel_height + most - 1) / most;
    const Index rows = (g.kernel_height + bands - 1) / bands;
    for (Index s = 0; s < g.kernel_width; s += taps)
      for (Index v = 0; v < vectors; v += step)
        for (Index r = 0; r < g.kernel_height; r += rows)
          parts_.push_back({in_.at(r * g.dilation_height, s * g.dilation_width) + v * lanes, r * filter_row_ + s / taps * run_ + v * lanes,
                            std::min(rows, g.kernel_height - r), std::min(step, vectors - v)});
    reorders_ = task.x == Layout::nchw && !planar_;
    buffer_at_ = space_.add(in_.buffer_floats());
    image_at_ = space_.add(reorders_ ? in_.image_floats() : 0);
  }

  std::string describe() const override {
    return fmt::format("{}, winners, {} x {} of the filter in registers{}", name_, parts_.front().rows,
                       parts_.front().vectors * functions_->lanes, in_.copied ? ", input copied" : "");
  }
  Index packed_floats() const override { return weight_ ? 0 : filters_floats(); }
  void pack(const float* w, float* packed) const override {
    if (weight_) return;
    std::memset(packed, 0, static_cast<std::size_t>(filters_floats()) * sizeof(float));
    for_each_weight([&](Index plain, Index at) { packed[at] = w[plain]; });
  }
  Index workspace_floats() const override { return space_.total(); }
  Index partial_floats() const override { return weight_ ? filters_floats() + task_.geometry.filters : 0; }
  void finish(const float* partial, float* w, float* bias) const override {
    for_each_weight([&](Index plain, Index at) { w[plain] = partial[at]; });
    if (bias != nullptr) std::memcpy(bias, partial + filters_floats(), static_cast<std::size_t>(task_.geometry.filters) * sizeof(float));
  }

  void run(const ConvCall& call) const override {
    float* const buffer = call.workspace + buffer_at_;
    const ConvGeometry& g = task_.geometry;
    const Index image_floats = reorders_ ? g.channels * g.height * g.width : in_.image_floats();
    if (weight_) {
      std::memset(call.out, 0, static_cast<std::size_t>(partial_floats()) * sizeof(float));
      in_.clear(buffer);
    }
    for (Index n = 0; n < call.images; ++n) {
      const float* const y = call.y + n * list_.entries();
      if (weight_) run_weight(call.x + n * image_floats, y, call, buffer);
      else run_data(y, call, buffer, n * image_floats, image_floats);
    }
  }

 private:
  Index filters_floats() const { return task_.geometry.filters * in_.planes() * filter_plane_; }

  WinnerList list_of(const float* y, Index filter) const {
    std::int32_t count;
    std::memcpy(&count, y + filter, sizeof count);
    return {count, y + list_.values_at(filter), reinterpret_cast<const std::int32_t*>(y) + list_.positions_at(filter), offsets_.data()};
  }

  void run_weight(const float* image, const float* y, const ConvCall& call, float* buffer) const {
    if (reorders_) {
      to_blocks(rows_, task_.geometry.channels, task_.geometry.height * task_.geometry.width, image, call.workspace + image_at_);
      image = call.workspace + image_at_;
    }
    if (in_.copied) in_.gather(image, buffer, 0, in_.rows);
    const float* const in = in_.copied ? buffer : image;
    float* const bias = call.out + filters_floats();
    const Index in_row = task_.geometry.dilation_height * in_.pitch;
    for (Index filter = 0; filter < task_.geometry.filters; ++filter) {
      const WinnerList list = list_of(y, filter);
      float* sum = &bias[filter];  // once
      for (Index p = 0; p < in_.planes(); ++p) {
        float* const w = call.out + (filter * in_.planes() + p) * filter_plane_;
        for (const Part& part : parts_) {
          functions_->weight[part.rows - 1][part.vectors - 1](list, in + p * in_.plane + part.in, in_row, w + part.w, filter_row_, sum);
          sum = nullptr;
        }
      }
    }
  }

  void run_data(const float* y, const ConvCall& call, float* buffer, Index first, Index image_floats) const {
    const ConvGeometry& g = task_.geometry;
    float* const final_out = call.out + first;
    float* const image = reorders_ ? call.workspace + image_at_ : final_out;
    float* const out = in_.copied ? buffer : image;
    std::memset(out, 0, static_cast<std::size_t>(in_.copied ? in_.buffer_floats() : in_.image_floats()) * sizeof(float));
    const Index out_row = g.dilation_height * in_.pitch;
    for (Index p = 0; p < in_.planes(); ++p)
      for (Index filter = 0; filter < g.filters; ++filter) {
        const WinnerList list = list_of(y, filter);
        const float* const w = call.w + (filter * in_.planes() + p) * filter_plane_;
        for (const Part& part : parts_)
          functions_->data[part.rows - 1][part.vectors - 1](list, w + part.w, filter_row_, out + p * in_.plane + part.in, out_row);
      }
    if (in_.copied) in_.scatter(buffer, image);
    if (g.channels % plane_channels != 0) clear_padding(image);
    if (reorders_) from_blocks(rows_, g.channels, g.height * g.width, image, final_out);
    if (task_.gate) rows_.gate(image_floats, call.gate + first, final_out);
  }

  // An infinite gradient times a lane without a filter is no zero.
  void clear_padding(float* image) const {
    const Index pixels = task_.geometry.height * task_.geometry.width, used = task_.geometry.channels % plane_channels;
    float* const plane = image + (in_.planes() - 1) * pixels * plane_channels;
    for (Index i = 0; i < pixels; ++i)
      std::memset(plane + i * plane_channels + used, 0, static_cast<std::size_t>(plane_channels - used) * sizeof(float));
  }

  template <class Body>
  void for_each_weight(const Body& body) const {
    const ConvGeometry& g = task_.geometry;
    const Index per_plane = planar_ ? 1 : plane_channels;
    const bool runs = g.dilation_width == 1;
    Index plain = 0;
    for (Index filter = 0; filter < g.filters; ++filter)
      for (Index c = 0; c < g.channels; ++c)
        for (Index r = 0; r < g.kernel_height; ++r)
          for (Index s = 0; s < g.kernel_width; ++s)
            body(plain++,
                 (filter * in_.planes() + c / per_plane) * filter_plane_ + r * filter_row_ + s * (runs ? in_.pixel : run_) + c % per_plane);
  }

  ConvTask task_;
  bool weight_, planar_;
  WinnersLayout list_;
  TileInput in_;
  const WinnerFunctions* functions_;
  RowFunctions rows_;
  std::string name_;
  std::vector<std::int32_t> offsets_;
  std::vector<Part> parts_;
  Index run_ = 0, filter_row_ = 0, filter_plane_ = 0;  // floats of a run of taps, a filter row, a filter's plane
  bool reorders_ = false;
  Workspace space_;
  Index buffer_at_ = 0, image_at_ = 0;
};

}  // namespace

std::unique_ptr<const Conv> make_winners_conv(const ConvTask& task) { return std::make_unique<WinnersConv>(task); }

}  // namespace wengert::direct
#endif
