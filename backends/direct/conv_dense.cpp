// Rung direct, convolution: forward (with bias, ReLU and max pool on the way out) and the gradient of x, as rows of register tiles over an
// input that is read in place or, where padding or stride would enter the loops, from a copy laid out for it. Times itself through
//   wengert bench conv --kernel direct
#include <wengert/backends/direct/conv_impl.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include <wengert/backends/direct/conv_lower.hpp>
#include <wengert/backends/direct/conv_rows.hpp>
#include <wengert/backends/direct/target.hpp>

namespace wengert::direct {
namespace {

constexpr Index nearest_cache_floats = 9216;  // of packed weights that may stay beside the rows
constexpr float no_floor = -std::numeric_limits<float>::infinity();

// What one image's rows need.
struct Frame {
  const float* w;
  const float* lanes;  // the bias as the tiles load it
  const float* image;
  float* buffer;
  Index gathered = 0;
  const float* in(const TileInput& input) const { return input.copied ? buffer : image; }
};

struct Target {
  float* out;  // first pixel of the pass
  Index plane, pixel, row;
  float floor;
};

class DenseConv final : public Conv {
 public:
  explicit DenseConv(const ConvTask& task)
      : task_(task),
        forward_(task.direction == ConvTask::Direction::forward),
        planar_(forward_ && reads_planar(task.geometry, task.x)),
        lowered_(forward_ ? lower_forward(task.geometry, planar_, task.pool.has_value()) : lower_data(task.geometry)),
        rows_(row_functions()),
        name_(target()) {
    const Layout in = forward_ ? task.x : task.y, out = forward_ ? task.y : task.x;
    const Index out_planes = planes_of(lowered_.filters);
    reorders_in_ = in == Layout::nchw && !planar_;
    reorders_out_ = out == Layout::nchw;
    if (task.pool) {
      ring_ = std::min(lowered_.out_height, task.pool->window_height) + 1;  // one more: rows may come in pairs
      out_pixels_ = task.pool->out_height * task.pool->out_width;
    } else {
      out_pixels_ = lowered_.out_height * lowered_.out_width;
    }
    lanes_at_ = space_.add(static_cast<Index>(lowered_.filter_of_lane.size()));
    buffer_at_ = space_.add(lowered_.in.buffer_floats());
    image_at_ = space_.add(reorders_in_ ? lowered_.in.image_floats() : 0);
    ring_at_ = space_.add(ring_ * lowered_.out_width * plane_channels * out_planes);
    out_at_ = space_.add(reorders_out_ ? out_pixels_ * plane_channels * out_planes : 0);
    positions_at_ = space_.add(reorders_out_ && task.pool ? out_pixels_ * plane_channels * out_planes : 0);
    fill_mask();
  }

  std::string describe() const override {
    Index vectors = 1;
    for (const TilePass& pass : lowered_.passes)
      for (const FilterGroup& group : pass.groups) vectors = std::max(vectors, group.vectors);
    const Index filters = std::min(vectors * lanes_, planes_of(lowered_.filters) * plane_channels);
    return fmt::format("{}, {} filters a tile{}{}", name_, filters, planar_ ? ", planar input" : "",
                       lowered_.in.copied ? ", input copied" : "");
  }
  Index packed_floats() const override { return static_cast<Index>(lowered_.source.size()); }
  void pack(const float* w, float* packed) const override {
    for (std::size_t i = 0; i < lowered_.source.size(); ++i) packed[i] = lowered_.source[i] < 0 ? 0.0f : w[lowered_.source[i]];
  }
  Index workspace_floats() const override { return space_.total(); }
  Index partial_floats() const override { return 0; }
  void finish(const float*, float*, float*) const override {}

  void run(const ConvCall& call) const override {
    float* const lanes = call.workspace + lanes_at_;
    fill_lanes(call.bias, lanes);
    Frame frame{call.w, lanes, nullptr, call.workspace + buffer_at_};
    lowered_.in.clear(frame.buffer);
    const Index out_channels = lowered_.filters, out_planes = planes_of(out_channels);
    const Index out_floats = out_pixels_ * (reorders_out_ ? out_channels : out_planes * plane_channels);
    const Index in_floats = reorders_in_ ? lowered_.in.channels * lowered_.in.height * lowered_.in.width : lowered_.in.image_floats();
    for (Index n = 0; n < call.images; ++n) {
      frame.image = (forward_ ? call.x : call.y) + n * in_floats;
      frame.gathered = 0;
      if (reorders_in_) {
        to_blocks(rows_, lowered_.in.channels, lowered_.in.height * lowered_.in.width, frame.image, call.workspace + image_at_);
        frame.image = call.workspace + image_at_;
      }
      float* const final_out = call.out + n * out_floats;
      std::int32_t* const final_positions = call.positions != nullptr ? call.positions + n * out_floats : nullptr;
      float* const out = reorders_out_ ? call.workspace + out_at_ : final_out;
      float* const scratch_positions = call.workspace + positions_at_;
      if (task_.pool) {
        std::int32_t* const positions =
            reorders_out_ && final_positions != nullptr ? reinterpret_cast<std::int32_t*>(scratch_positions) : final_positions;
        run_pooled(frame, call.workspace + ring_at_, out, positions);
      } else {
        run_rows(frame, out);
      }
      if (reorders_out_) {
        from_blocks(rows_, out_channels, out_pixels_, out, final_out);
        if (task_.pool && final_positions != nullptr)
          from_blocks(rows_, out_channels, out_pixels_, scratch_positions, reinterpret_cast<float*>(final_positions));
      }
      if (task_.gate) rows_.gate(out_floats, call.gate + n * out_floats, final_out);
    }
  }

 private:
  // In the order of the finished lanes: those of pairs are 8 filters of one pixel, then of the next.
  void fill_mask() {
    mask_.resize(lowered_.filter_of_lane.size());
    for (const TilePass& pass : lowered_.passes)
      for (const FilterGroup& group : pass.groups)
        for (Index l = 0; l < group.vectors * lanes_; ++l) {
          const Index filter = group.first + (group.use == LaneUse::plain ? l : l % plane_channels);
          const std::uint32_t bits = filter < lowered_.filters ? ~0u : 0u;
          std::memcpy(mask_.data() + group.lanes + l, &bits, sizeof bits);
        }
  }

  void fill_lanes(const float* bias, float* const first_lane) const {
    float* lanes = first_lane;
    const bool present = task_.bias && bias != nullptr;
    for (const std::int32_t filter : lowered_.filter_of_lane) *lanes++ = present && filter >= 0 ? bias[filter] : 0.0f;
    if (!present) return;
    for (const TilePass& pass : lowered_.passes)
      for (const FilterGroup& group : pass.groups)
        if (group.use == LaneUse::channel_pairs)  // the halves are added up
          for (Index l = 1; l < lanes_; l += 2) first_lane[group.lanes + l] = 0;
  }

  void need_rows(Frame& frame, const TilePass& pass, Index last_row) const {
    const TileInput& in = lowered_.in;
    if (!in.copied) return;
    const Index end =
        std::min(in.rows, last_row * in_stride() + pass.first_tap + std::max<Index>(0, (pass.tap_rows - 1) * pass.tap_step) + 1);
    if (frame.gathered >= end) return;
    in.gather(frame.image, frame.buffer, frame.gathered, end);
    frame.gathered = end;
  }

  Index in_stride() const { return forward_ ? task_.geometry.stride_height : 1; }

  // One row of outputs (or two) of one group and stage. Filter rows that lie in the padding are skipped.
  void row(const Frame& frame, const TilePass& pass, const FilterGroup& group, const Stage& stage, Index y, const Target& to) const {
    const TileInput& in = lowered_.in;
    const Index first = y * in_stride() + pass.first_tap, step = pass.tap_step;
    const auto rows_before = [&](Index end) { return std::clamp<Index>(end <= 0 ? 0 : (end + step - 1) / step, 0, pass.tap_rows); };
    const Index low = rows_before(in.top - first - (group.rows - 1) * in_stride()),
                high = std::max(low, rows_before(in.top + in.height - first));
    const bool more = &stage != &group.stages.front(), last = &stage == &group.stages.back();
    TileCall call{};
    call.first = stage.segments.data() + low * stage.segments_per_row;
    call.last = stage.segments.data() + high * stage.segments_per_row;
    call.w = frame.w + stage.first_weight + low * stage.weights_per_row;
    call.bias = frame.lanes + group.lanes;
    call.mask = mask_.data() + group.lanes;
    call.plane = to.plane, call.pixel = to.pixel, call.row = to.row;
    call.floor = last ? to.floor : no_floor;
    call.second = y + 1 < pass.out_height;
    call.more = more;
    const float* const source = frame.in(in) + y * in_stride() * in.pitch;
    float* const out = to.out + group.first / plane_channels * to.plane + group.first % plane_channels;
    for (const PlacedTile& tile : stage.tiles) {
      call.in = source + tile.column * in.pixel;
      call.out = out + tile.column * to.pixel;
      tile.run(call);
    }
  }

  void run_rows(Frame& frame, float* out) const {
    const Index width = lowered_.out_width;
    for (const TilePass& pass : lowered_.passes) {
      Target to{nullptr, lowered_.out_plane(), lowered_.step_width * plane_channels, lowered_.step_height * width * plane_channels,
                task_.relu ? 0.0f : no_floor};
      const auto run_row = [&](const FilterGroup& group, const Stage& stage, Index y) {
        need_rows(frame, pass, y + group.rows - 1);
        to.out = out + ((pass.first_row + y * lowered_.step_height) * width + pass.first_column) * plane_channels;
        row(frame, pass, group, stage, y, to);
      };
      if (packed_floats() <= nearest_cache_floats) {  // input rows once
        const Index step = pass.groups.empty() ? 1 : pass.groups.front().rows;
        for (Index y = 0; y < pass.out_height; y += step)
          for (const FilterGroup& group : pass.groups)
            for (const Stage& stage : group.stages) run_row(group, stage, y);
      } else {
        for (const FilterGroup& group : pass.groups)
          for (const Stage& stage : group.stages)
            for (Index y = 0; y < pass.out_height; y += group.rows) run_row(group, stage, y);
      }
    }
  }

  // Only the pooled values and the positions leave a ring of rows.
  void run_pooled(Frame& frame, float* ring, float* out, std::int32_t* positions) const {
    const PoolGeometry& pool = *task_.pool;
    const TilePass& pass = lowered_.passes.front();
    const Index pitch = lowered_.out_width * plane_channels, step = pass.groups.front().rows;
    const Index planes = planes_of(lowered_.filters);
    Target to{nullptr, ring_ * pitch, plane_channels, 0, no_floor};
    Index done = 0;  // rows of the convolution
    for (Index h = 0; h < pool.out_height; ++h) {
      const Index end = std::min(pool.height, h * pool.stride_height - pool.pad_top + pool.window_height);
      done = std::max(done, std::max<Index>(0, h * pool.stride_height - pool.pad_top) / step * step);  // rows that no window holds
      for (; done < end; done += step) {
        need_rows(frame, pass, done + step - 1);
        to.out = ring + done % ring_ * pitch;
        to.row = ((done + 1) % ring_ - done % ring_) * pitch;
        for (const FilterGroup& group : pass.groups)
          for (const Stage& stage : group.stages) row(frame, pass, group, stage, done, to);
      }
      PoolCall call{&pool, nullptr, ring_, pitch, h, task_.relu ? 0.0f : no_floor, nullptr, nullptr};
      for (Index p = 0; p < planes; ++p) {
        call.rows = ring + p * ring_ * pitch;
        call.out = out + (p * pool.out_height + h) * pool.out_width * plane_channels;
        call.positions = positions != nullptr ? positions + (p * pool.out_height + h) * pool.out_width * plane_channels : nullptr;
        rows_.pool(call);
      }
    }
  }

  ConvTask task_;
  bool forward_, planar_;
  Lowered lowered_;
  RowFunctions rows_;
  std::string name_;
  Index lanes_ = tile_set().lanes;
  bool reorders_in_ = false, reorders_out_ = false;
  Index ring_ = 0, out_pixels_ = 0;
  Workspace space_;
  Index lanes_at_ = 0, buffer_at_ = 0, image_at_ = 0, ring_at_ = 0, out_at_ = 0, positions_at_ = 0;
  std::vector<float> mask_;
};

}  // namespace

std::unique_ptr<const Conv> make_dense_conv(const ConvTask& task) { return std::make_unique<DenseConv>(task); }

}  // namespace wengert::direct
