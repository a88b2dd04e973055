// Rung direct, depthwise convolution (each channel its own filter) in planes of 8 channels: lanes are channels and, in wider vectors,
// neighbouring pixels; a few vectors of a row (forward and data) or all taps (weight) stay in registers. Times itself through
//   wengert bench conv --kernel direct
#include <algorithm>
#include <cstdint>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/conv_depthwise.cpp>
#include <wengert/backends/direct/highway-inl.hpp>

#include <wengert/backends/direct/conv_tiles-inl.hpp>

#ifndef WENGERT_DIRECT_CONV_DEPTHWISE_ONCE
#define WENGERT_DIRECT_CONV_DEPTHWISE_ONCE
namespace wengert::direct {
namespace {

// A row of outputs of one plane; tap t reads in + offsets[t] and multiplies by the 8 floats at w + 8 * t.
struct DepthRow {
  const float* in;
  const std::int32_t* offsets;
  Index taps;
  const float *w, *bias, *mask;  // 8 floats each
  float* out;
  Index width, pixel;  // outputs, and floats between them
  float floor;
};
// Rows of y against the input; sums: 16 floats a tap, then 16 of y itself.
struct DepthSums {
  const float *in, *y;
  const std::int32_t* offsets;
  Index taps, rows, width, in_row, y_row;
  float* sums;
};
struct DepthFunctions {
  void (*row)(const DepthRow& call);
  void (*sums)(const DepthSums& call);
};

}  // namespace
}  // namespace wengert::direct
#endif

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace {

constexpr int parts = lanes < 8 ? 8 / lanes : 1;  // vectors of a pixel
constexpr int wide = lanes < 8 ? 1 : lanes / 8;   // pixels of a vector

// 8 floats in every pixel of a vector.
template <class Tag>
HWY_INLINE V every_pixel(Tag d, const float* p) {
  if constexpr (lanes == 16) return hn::Combine(d, hn::LoadU(D8(), p), hn::LoadU(D8(), p));
  else return hn::LoadU(d, p);
}

template <int vectors>
HWY_INLINE void depth_tile(const DepthRow& c, Index column) {
  const D d;
  for (int half = 0; half < parts; ++half) {
    const int lane = half * lanes;
    V sum[vectors];
    UNROLL
    for (int v = 0; v < vectors; ++v) sum[v] = every_pixel(d, c.bias + lane);
    const float* const in = c.in + column * 8 + lane;
    for (Index t = 0; t < c.taps; ++t) {
      const V w = every_pixel(d, c.w + t * 8 + lane);
      const float* const p = in + c.offsets[t];
      UNROLL
      for (int v = 0; v < vectors; ++v) sum[v] = hn::MulAdd(w, hn::LoadU(d, p + v * wide * 8), sum[v]);
    }
    const V floor = hn::Set(d, c.floor), mask = every_pixel(d, c.mask + lane);
    float* out = c.out + column * c.pixel + lane;
    const Index pixel = c.pixel;
    UNROLL
    for (int v = 0; v < vectors; ++v) {
      store_parts(hn::And(max_of(floor, sum[v]), mask), out, out + pixel);
      out += wide * pixel;
    }
  }
}

void depth_row(const DepthRow& c) {
  Index column = 0;
  for (; column + 8 * wide <= c.width; column += 8 * wide) depth_tile<8>(c, column);
  for (; column + 2 * wide <= c.width; column += 2 * wide) depth_tile<2>(c, column);
  for (; column + wide <= c.width; column += wide) depth_tile<1>(c, column);
  for (; column < c.width; ++column)  // half a vector is left
    for (Index l = 0; l < 8; ++l) {
      float sum = c.bias[l];
      for (Index t = 0; t < c.taps; ++t) sum += c.w[t * 8 + l] * c.in[column * 8 + l + c.offsets[t]];
      std::uint32_t bits, used;
      sum = sum < c.floor ? c.floor : sum;
      std::memcpy(&bits, &sum, sizeof bits);
      std::memcpy(&used, c.mask + l, sizeof used);
      bits &= used;
      std::memcpy(c.out + column * c.pixel + l, &bits, sizeof bits);
    }
}

// One pixel in a vector, the others zero.
template <class Tag>
HWY_INLINE V one_pixel(Tag d, const float* p) {
  if constexpr (lanes == 16) return hn::ZeroExtendVector(d, hn::LoadU(D8(), p));
  else return hn::LoadU(d, p);
}

template <int taps>
HWY_INLINE void depth_taps(const DepthSums& c, Index first, bool with_y) {
  const D d;
  for (int half = 0; half < parts; ++half) {
    const int lane = half * lanes;
    float* const sums = c.sums + first * 16 + lane;
    V sum[taps];
    UNROLL
    for (int t = 0; t < taps; ++t) sum[t] = hn::LoadU(d, sums + t * 16);
    V total = hn::Zero(d);
    for (Index row = 0; row < c.rows; ++row) {
      const float *in = c.in + row * c.in_row + lane, *y = c.y + row * c.y_row + lane;
      Index column = 0;
      for (; column + wide <= c.width; column += wide, in += wide * 8, y += wide * 8) {
        const V g = hn::LoadU(d, y);
        total = hn::Add(total, g);
        UNROLL
        for (int t = 0; t < taps; ++t) sum[t] = hn::MulAdd(g, hn::LoadU(d, in + c.offsets[first + t]), sum[t]);
      }
      if (column < c.width) {
        const V g = one_pixel(d, y);
        total = hn::Add(total, g);
        UNROLL
        for (int t = 0; t < taps; ++t) sum[t] = hn::MulAdd(g, one_pixel(d, in + c.offsets[first + t]), sum[t]);
      }
    }
    UNROLL
    for (int t = 0; t < taps; ++t) hn::StoreU(sum[t], d, sums + t * 16);
    float* const y_sum = c.sums + c.taps * 16 + lane;
    if (with_y) hn::StoreU(hn::Add(hn::LoadU(d, y_sum), total), d, y_sum);
  }
}

void depth_sums(const DepthSums& c) {
  Index first = 0;
  for (; first + 9 <= c.taps; first += 9) depth_taps<9>(c, first, first == 0);
  for (; first + 5 <= c.taps; first += 5) depth_taps<5>(c, first, first == 0);
  for (; first + 2 <= c.taps; first += 2) depth_taps<2>(c, first, first == 0);
  for (; first < c.taps; ++first) depth_taps<1>(c, first, first == 0);
}

constexpr DepthFunctions functions{&depth_row, &depth_sums};

}  // namespace
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <fmt/format.h>

#include <limits>
#include <vector>
#include <wengert/backends/direct/conv_impl.hpp>
#include <wengert/backends/direct/target.hpp>

namespace wengert::direct {
namespace {

DepthFunctions depth_functions() {
  static constexpr DepthFunctions each[] = WENGERT_EACH_TARGET(functions);
  return each[target_index()];
}

class DepthwiseConv final : public Conv {
 public:
  explicit DepthwiseConv(const ConvTask& task)
      : task_(task),
        direction_(task.direction),
        shape_(task.direction == ConvTask::Direction::data ? shape_data(task.geometry) : shape_forward(task.geometry, false, true)),
        functions_(depth_functions()),
        rows_(row_functions()),
        name_(target()) {
    for (const TilePass& pass : shape_.passes)
      for (const Tap& tap : pass.taps) {
        offsets_.push_back(static_cast<std::int32_t>(shape_.in.at(tap.y, tap.x)));
        tap_.push_back(tap.ky * task.geometry.kernel_width + tap.kx);
      }
    buffer_at_ = space_.add(shape_.in.buffer_floats());
    const Index channels = task.geometry.channels;
    for (Index c = 0; c < planes_of(channels) * plane_channels; ++c) {
      const std::uint32_t bits = c < channels ? ~0u : 0u;
      float lane;
      std::memcpy(&lane, &bits, sizeof lane);
      mask_.push_back(lane);
    }
  }

  std::string describe() const override { return fmt::format("{}, depthwise{}", name_, shape_.in.copied ? ", input copied" : ""); }
  Index packed_floats() const override { return direction_ == ConvTask::Direction::weight ? 0 : planes() * taps() * plane_channels; }
  void pack(const float* w, float* packed) const override {
    if (direction_ == ConvTask::Direction::weight) return;
    std::memset(packed, 0, static_cast<std::size_t>(packed_floats()) * sizeof(float));
    for (Index c = 0; c < task_.geometry.channels; ++c)
      for (Index t = 0; t < taps(); ++t)
        packed[(c / plane_channels * taps() + t) * plane_channels + c % plane_channels] = w[c * taps() + tap_[static_cast<std::size_t>(t)]];
  }
  Index workspace_floats() const override { return space_.total(); }
  Index partial_floats() const override { return direction_ == ConvTask::Direction::weight ? planes() * plane_sums() : 0; }
  void finish(const float* partial, float* w, float* bias) const override {
    for (Index c = 0; c < task_.geometry.channels; ++c) {
      const float* const sums = partial + c / plane_channels * plane_sums() + c % plane_channels;
      for (Index t = 0; t < taps(); ++t) w[c * taps() + tap_[static_cast<std::size_t>(t)]] = sums[t * 16] + sums[t * 16 + 8];
      if (bias != nullptr) bias[c] = sums[taps() * 16] + sums[taps() * 16 + 8];
    }
  }

  void run(const ConvCall& call) const override {
    const TileInput& in = shape_.in;
    float* const buffer = call.workspace + buffer_at_;
    in.clear(buffer);
    const bool weight = direction_ == ConvTask::Direction::weight;
    if (weight) std::memset(call.out, 0, static_cast<std::size_t>(partial_floats()) * sizeof(float));
    const float* const from = direction_ == ConvTask::Direction::data ? call.y : call.x;
    const Index y_floats = planes() * shape_.out_plane();
    for (Index n = 0; n < call.images; ++n) {
      const float* image = from + n * in.image_floats();
      if (in.copied) {
        in.gather(image, buffer, 0, in.rows);
        image = buffer;
      }
      if (weight) {
        for (Index p = 0; p < planes(); ++p)
          add_plane(image + p * in.plane, call.y + n * y_floats + p * shape_.out_plane(), call.out + p * plane_sums());
      } else {
        float* const out = call.out + n * y_floats;
        for (Index p = 0; p < planes(); ++p) run_plane(call, p, image + p * in.plane, out + p * shape_.out_plane());
        if (task_.gate) rows_.gate(y_floats, call.gate + n * y_floats, out);
      }
    }
  }

 private:
  Index planes() const { return planes_of(task_.geometry.channels); }
  Index taps() const { return static_cast<Index>(tap_.size()); }
  Index plane_sums() const { return (taps() + 1) * 16; }

  void run_plane(const ConvCall& call, Index p, const float* in, float* out) const {
    const Index stride = direction_ == ConvTask::Direction::data ? 1 : task_.geometry.stride_height;
    float bias[plane_channels] = {};
    for (Index l = 0; task_.bias && l < plane_channels && p * plane_channels + l < task_.geometry.channels; ++l)
      bias[l] = call.bias[p * plane_channels + l];
    DepthRow row{};
    row.bias = bias, row.mask = mask_.data() + p * plane_channels;
    row.pixel = shape_.step_width * plane_channels;
    row.floor = task_.relu ? 0.0f : -std::numeric_limits<float>::infinity();
    Index before = 0;
    for (const TilePass& pass : shape_.passes) {
      row.offsets = offsets_.data() + before;
      row.taps = static_cast<Index>(pass.taps.size());
      row.w = call.w + (p * taps() + before) * plane_channels;
      row.width = std::max<Index>(0, pass.out_width);
      for (Index y = 0; y < pass.out_height; ++y) {
        row.in = in + y * stride * shape_.in.pitch;
        row.out = out + ((pass.first_row + y * shape_.step_height) * shape_.out_width + pass.first_column) * plane_channels;
        functions_.row(row);
      }
      before += row.taps;
    }
  }

  void add_plane(const float* in, const float* y, float* sums) const {
    const Index stride = task_.geometry.stride_height;
    functions_.sums({in, y, offsets_.data(), taps(), shape_.out_height, shape_.out_width, stride * shape_.in.pitch,
                     shape_.out_width * plane_channels, sums});
  }

  ConvTask task_;
  ConvTask::Direction direction_;
  Lowered shape_;
  DepthFunctions functions_;
  RowFunctions rows_;
  std::string name_;
  std::vector<std::int32_t> offsets_;  // by pass, then tap
  std::vector<Index> tap_;             // its number in the plain filter
  std::vector<float> mask_;            // all bits where a lane is a channel
  Workspace space_;
  Index buffer_at_ = 0;
};

}  // namespace

std::unique_ptr<const Conv> make_depthwise_conv(const ConvTask& task) { return std::make_unique<DepthwiseConv>(task); }

}  // namespace wengert::direct
#endif
