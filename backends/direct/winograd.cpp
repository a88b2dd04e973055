// Rung winograd: convolution with fewer multiplications (Lavin and Gray 2016, "Fast algorithms for convolutional neural networks"). Tiles of
// m x m outputs: the inputs of a tile (n x n, n = m + r - 1) and the filters go to n x n points, where convolution is multiplication, and
// the sums over channels come back. A row of pixels is transformed once, along itself, for all tile rows that read it. Times itself through
//   wengert bench conv --kernel winograd
//
// Rounding. With u = 2^-24 and C channels of x (data: filters), each result is within
//   a (C + 32) C u max|x| max|w|,   a = 64 for F(2x2,3x3), 2304 for F(4x4,3x3), 3326 for F(2x2,5x5), 7531 for F(4x4,5x5),
// a = (the largest row sum of |A'|(|G|1 * |B'|1))^2, of the sum over C channels of products in exact arithmetic, plus the bias's. What is not
// finite in an input tile comes out as NaN in all outputs that it reaches, and may in others of the tile.
#include <wengert/backends/direct/conv.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <limits>
#include <vector>

#include <wengert/backends/direct/conv_impl.hpp>
#include <wengert/backends/direct/target.hpp>
#include <wengert/backends/direct/winograd_steps.hpp>

namespace wengert::direct {
namespace {

constexpr Index most_points = 8;

// The gradient of x is the convolution of y with as many zeros around it as the filters have taps beyond the padding.
ConvGeometry as_forward(const ConvTask& task) {
  ConvGeometry g = task.geometry;
  if (task.direction == ConvTask::Direction::forward) return g;
  std::swap(g.channels, g.filters);
  std::swap(g.height, g.out_height);
  std::swap(g.width, g.out_width);
  g.pad_top = g.kernel_height - 1 - g.pad_top;
  g.pad_left = g.kernel_width - 1 - g.pad_left;
  return g;
}

// Whether the windows of a pool fill tiles of m x m.
bool covers_tiles(const std::optional<PoolGeometry>& pool, Index m) {
  if (!pool || pool->pad_top != 0 || pool->pad_left != 0 || pool->out_height * 2 % m != 0 || pool->out_width * 2 % m != 0) return false;
  return pool->window_height == 2 && pool->window_width == 2 && pool->stride_height == 2 && pool->stride_width == 2;
}

class WinogradConv final : public Conv {
 public:
  WinogradConv(const ConvTask& task, Index m)
      : task_(task),
        data_(task.direction == ConvTask::Direction::data),
        g_(as_forward(task)),
        m_(m),
        points_(m + g_.kernel_height - 1),
        steps_(winograd_steps(m, g_.kernel_height)),
        rows_(row_functions()),
        name_(target()) {
    pools_tiles_ = covers_tiles(task.pool, m);
    tile_rows_ = pools_tiles_ ? task.pool->out_height * 2 / m : (g_.out_height + m - 1) / m;
    tiles_ = pools_tiles_ ? task.pool->out_width * 2 / m : (g_.out_width + m - 1) / m;
    floats_ = tiles_ * plane_channels;
    row_pixels_ = tiles_ * m + g_.kernel_width - 1;
    marks_pitch_ = (row_pixels_ + 31) / 16 * 16;
    copies_ = g_.pad_left != 0 || row_pixels_ > g_.width;
    out_pixels_ = task.pool ? task.pool->out_height * task.pool->out_width : g_.out_height * g_.out_width;
    if (!pools_tiles_) ring_ = m + (task.pool ? (std::min(g_.out_height, task.pool->window_height) + m - 2) / m * m : 0);
    place();
    mask_.assign(at(planes_of(g_.filters) * plane_channels), 0.0f);
    const std::uint32_t bits = ~0u;
    for (Index k = 0; k < g_.filters; ++k) std::memcpy(&mask_[at(k)], &bits, sizeof bits);
  }

  std::string describe() const override {
    return fmt::format("{}, F({}x{},{}x{}){}{}", name_, m_, m_, g_.kernel_height, g_.kernel_width,
                       pools_tiles_ ? ", pool windows in a tile" : "", copies_ ? ", input copied" : "");
  }
  Index packed_floats() const override { return points_ * points_ * planes_of(g_.channels) * 8 * planes_of(g_.filters) * 8; }
  void pack(const float* w, float* packed) const override { steps_.pack(w, g_.channels, g_.filters, data_, packed); }
  Index workspace_floats() const override { return space_.total(); }
  Index partial_floats() const override { return 0; }
  void finish(const float*, float*, float*) const override {}

  void run(const ConvCall& call) const override {
    float* const space = call.workspace;
    const Index out_channels = g_.filters, out_planes = planes_of(out_channels), in_planes = planes_of(g_.channels);
    fill_bias(call.bias, space + bias_at_);
    if (copies_) std::fill_n(space + copy_at_, row_pixels_ * plane_channels, 0.0f);
    std::fill_n(marks(space, points_), marks_pitch_, std::uint8_t{0});
    const Index in_floats = g_.height * g_.width * (reorders_in_ ? g_.channels : in_planes * plane_channels);
    const Index out_floats = out_pixels_ * (reorders_out_ ? out_channels : out_planes * plane_channels);
    for (Index image = 0; image < call.images; ++image) {
      const float* in = (data_ ? call.y : call.x) + image * in_floats;
      if (reorders_in_) {
        to_blocks(rows_, g_.channels, g_.height * g_.width, in, space + image_at_);
        in = space + image_at_;
      }
      float* const final_out = call.out + image * out_floats;
      std::int32_t* const final_positions = call.positions != nullptr ? call.positions + image * out_floats : nullptr;
      float* const scratch_positions = space + positions_at_;
      run_image(in, call.w, space, reorders_out_ ? space + out_at_ : final_out,
                reorders_out_ && final_positions != nullptr ? reinterpret_cast<std::int32_t*>(scratch_positions) : final_positions);
      if (reorders_out_) {
        from_blocks(rows_, out_channels, out_pixels_, space + out_at_, final_out);
        if (final_positions != nullptr)
          from_blocks(rows_, out_channels, out_pixels_, scratch_positions, reinterpret_cast<float*>(final_positions));
      }
      if (task_.gate) rows_.gate(out_floats, call.gate + image * out_floats, final_out);
    }
  }

 private:
  static std::size_t at(Index i) { return static_cast<std::size_t>(i); }

  void place() {
    const Index in_planes = planes_of(g_.channels), out_planes = planes_of(g_.filters);
    reorders_in_ = (data_ ? task_.y : task_.x) == Layout::nchw, reorders_out_ = (data_ ? task_.x : task_.y) == Layout::nchw;
    bias_at_ = space_.add(out_planes * plane_channels);
    copy_at_ = space_.add(copies_ ? row_pixels_ * plane_channels : 0);
    transformed_at_ = space_.add(points_ * points_ * in_planes * floats_);
    v_at_ = space_.add(points_ * in_planes * floats_);
    product_at_ = space_.add(points_ * floats_);
    back_at_ = space_.add(out_planes * points_ * m_ * floats_);
    marks_at_ = space_.add((points_ + 1) * marks_pitch_ / size_of(DType::f32));
    keep_at_ = space_.add(m_ * marks_pitch_);
    ring_at_ = space_.add(out_planes * ring_ * floats_ * m_);
    image_at_ = space_.add(reorders_in_ ? in_planes * g_.height * g_.width * plane_channels : 0);
    out_at_ = space_.add(reorders_out_ ? out_planes * out_pixels_ * plane_channels : 0);
    positions_at_ = space_.add(reorders_out_ && task_.pool ? out_planes * out_pixels_ * plane_channels : 0);
  }

  void fill_bias(const float* bias, float* lanes) const {
    std::fill_n(lanes, planes_of(g_.filters) * plane_channels, 0.0f);
    if (task_.bias && bias != nullptr) std::copy_n(bias, g_.filters, lanes);
  }

  // A row of the padded input, of all planes, transformed along itself.
  void transform_row(const float* image, Index padded_row, float* copy, float* out) const {
    const Index row = padded_row - g_.pad_top, pitch = planes_of(g_.channels) * floats_;
    if (row < 0 || row >= g_.height) {
      std::fill_n(out, points_ * pitch, 0.0f);
      return;
    }
    for (Index p = 0; p < planes_of(g_.channels); ++p) {
      const float* in = image + (p * g_.height + row) * g_.width * plane_channels;
      if (copies_) {
        const Index pixels = std::min(g_.width, row_pixels_ - g_.pad_left);
        if (pixels > 0) std::copy_n(in, pixels * plane_channels, copy + g_.pad_left * plane_channels);
        in = copy;
      }
      steps_.transform(in, floats_, out + p * floats_, pitch);
    }
  }

  // Of the windows of a padded row, in a ring of them; and the last, of pixels.
  std::uint8_t* marks(float* space, Index row) const { return reinterpret_cast<std::uint8_t*>(space + marks_at_) + row * marks_pitch_; }

  void mark_row(const float* image, Index padded_row, float* space) const {
    const Index row = padded_row - g_.pad_top;
    std::uint8_t* const out = marks(space, padded_row % points_);
    if (row < 0 || row >= g_.height) {
      std::fill_n(out, marks_pitch_, std::uint8_t{0});
      return;
    }
    const Index pixels = std::max<Index>(0, std::min(g_.width, row_pixels_ - g_.pad_left));
    steps_.mark({image + row * g_.width * plane_channels, pixels, planes_of(g_.channels), g_.height * g_.width * plane_channels,
                 g_.pad_left, marks(space, points_), out, tiles_ * m_});
  }

  void run_image(const float* image, const float* w, float* space, float* out, std::int32_t* positions) const {
    const Index in_planes = planes_of(g_.channels), slot = points_ * in_planes * floats_;
    const float* transformed[most_points];
    const std::uint8_t* marked[most_points];
    const WinogradRow row{floats_, in_planes, planes_of(g_.filters), transformed, w, space + v_at_, space + product_at_, space + back_at_};
    const bool inside = g_.pad_top + g_.pad_left == 0 && g_.out_height + g_.kernel_height - 1 <= g_.height &&
                        g_.out_width + g_.kernel_width - 1 <= g_.width;
    const bool keeps_all = inside && steps_.none_zero({image, in_planes, g_.height, g_.width});
    if (keeps_all) std::fill_n(space + keep_at_, m_ * marks_pitch_, 1.0f);
    Index ready = 0, pooled = 0;
    for (Index tile_row = 0; tile_row < tile_rows_; ++tile_row) {
      const Index first = tile_row * m_;
      for (; ready < first + points_; ++ready) {
        transform_row(image, ready, space + copy_at_, space + transformed_at_ + ready % points_ * slot);
        if (!keeps_all) mark_row(image, ready, space);
      }
      for (Index i = 0; i < points_; ++i) {
        transformed[i] = space + transformed_at_ + (first + i) % points_ * slot;
        marked[i] = marks(space, (first + i) % points_);
      }
      steps_.row(row);
      if (!keeps_all) steps_.keep(marked, tiles_ * m_, space + keep_at_, marks_pitch_);
      if (pools_tiles_) {
        pool_tiles(space, tile_row, out, positions);
      } else {
        finish_rows(space, first, out);
        if (task_.pool) pooled = pool_rows(space, std::min(g_.out_height, first + m_), pooled, out, positions);
      }
    }
  }

  WinogradFinish way_out(const float* space, Index plane) const {
    WinogradFinish f{};
    f.in = space + back_at_ + plane * points_ * m_ * floats_;
    f.floats = floats_;
    f.bias = space + bias_at_ + plane * plane_channels;
    f.mask = mask_.data() + plane * plane_channels;
    f.keep = space + keep_at_, f.keep_pitch = marks_pitch_;
    f.floor = task_.relu ? 0.0f : -std::numeric_limits<float>::infinity();
    return f;
  }

  void pool_tiles(const float* space, Index tile_row, float* out, std::int32_t* positions) const {
    for (Index p = 0; p < planes_of(g_.filters); ++p) {
      WinogradFinish f = way_out(space, p);
      const Index to = (p * tile_rows_ + tile_row) * (m_ / 2) * (floats_ * m_ / 2);
      f.pitch = floats_ * m_ / 2;
      f.out = out + to;
      f.positions = positions != nullptr ? positions + to : nullptr;
      f.row = tile_row * m_, f.width = g_.out_width;
      steps_.pool(f);
    }
  }

  // To the ring of rows, and without a pool on to y.
  void finish_rows(float* space, Index first, float* out) const {
    for (Index p = 0; p < planes_of(g_.filters); ++p) {
      WinogradFinish f = way_out(space, p);
      f.pitch = floats_ * m_;
      f.out = space + ring_at_ + (p * ring_ + first % ring_) * f.pitch;
      if (task_.pool) f.floor = -std::numeric_limits<float>::infinity();
      steps_.finish(f);
      if (task_.pool) continue;
      const Index row = g_.out_width * plane_channels;
      for (Index i = 0; i < std::min(m_, g_.out_height - first); ++i)
        std::copy_n(f.out + i * f.pitch, row, out + (p * g_.out_height + first + i) * row);
    }
  }

  // The windows that end in finished rows.
  Index pool_rows(const float* space, Index finished, Index pooled, float* out, std::int32_t* positions) const {
    const PoolGeometry& pool = *task_.pool;
    for (; pooled < pool.out_height; ++pooled) {
      if (std::min(pool.height, pooled * pool.stride_height - pool.pad_top + pool.window_height) > finished) break;
      PoolCall call{&pool,   nullptr, ring_, floats_ * m_, pooled, task_.relu ? 0.0f : -std::numeric_limits<float>::infinity(),
                    nullptr, nullptr};
      for (Index p = 0; p < planes_of(g_.filters); ++p) {
        const Index to = (p * pool.out_height + pooled) * pool.out_width * plane_channels;
        call.rows = space + ring_at_ + p * ring_ * call.pitch;
        call.out = out + to;
        call.positions = positions != nullptr ? positions + to : nullptr;
        rows_.pool(call);
      }
    }
    return pooled;
  }

  ConvTask task_;
  bool data_;
  ConvGeometry g_;
  Index m_, points_;
  WinogradSteps steps_;
  RowFunctions rows_;
  std::string name_;
  bool pools_tiles_ = false, copies_ = false, reorders_in_ = false, reorders_out_ = false;
  Index tile_rows_ = 0, tiles_ = 0, floats_ = 0, row_pixels_ = 0, marks_pitch_ = 0, out_pixels_ = 0, ring_ = 0;
  Workspace space_;
  Index bias_at_ = 0, copy_at_ = 0, transformed_at_ = 0, v_at_ = 0, product_at_ = 0, back_at_ = 0, marks_at_ = 0, keep_at_ = 0,
        ring_at_ = 0, image_at_ = 0, out_at_ = 0, positions_at_ = 0;
  std::vector<float> mask_;
};

}  // namespace

std::string refuse_winograd(const ConvTask& task, Index m) {
  using Direction = ConvTask::Direction;
  const ConvGeometry& g = task.geometry;
  if (task.direction == Direction::weight) return "it makes no gradient of w";
  if (task.x == Layout::winners || task.y == Layout::winners) return "x and y are dense";
  if (g.groups != 1) return fmt::format("it takes one group, not {}", g.groups);
  if (g.stride_height != 1 || g.stride_width != 1) return fmt::format("it takes stride 1x1, not {}x{}", g.stride_height, g.stride_width);
  if (g.dilation_height != 1 || g.dilation_width != 1)
    return fmt::format("it takes dilation 1x1, not {}x{}", g.dilation_height, g.dilation_width);
  const bool known = g.kernel_height == g.kernel_width && (g.kernel_height == 3 || g.kernel_height == 5) && (m == 2 || m == 4);
  if (!known) return fmt::format("it has no tiles of {}x{} for filters of {}x{}", m, m, g.kernel_height, g.kernel_width);
  if (task.direction == Direction::data && std::max(g.pad_top, g.pad_left) >= g.kernel_height)
    return "the padding is wider than a filter without its last tap";
  if (task.pool && task.direction != Direction::forward) return "only forward pools";
  if (task.gate && task.direction != Direction::data) return "only the gradient of x is gated";
  if (task.relu && task.direction != Direction::forward) return "only forward clips";
  return "";
}

std::unique_ptr<const Conv> make_winograd(const ConvTask& task, Index m) {
  assert(refuse_winograd(task, m).empty());
  return std::make_unique<WinogradConv>(task, m);
}

}  // namespace wengert::direct
