// Rung direct, convolution in groups: one kernel of a single group, called for each in turn on its channels. Where these share planes of
// 8 with another group's, or where the gradient comes as winners, the image goes through plain planes first. Times itself through
//   wengert bench conv --kernel direct --groups G
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include <wengert/backends/direct/conv_impl.hpp>
#include <wengert/backends/winners.hpp>

namespace wengert::direct {
namespace {

class GroupedConv final : public Conv {
 public:
  explicit GroupedConv(const ConvTask& task) : task_(task), rows_(row_functions()) {
    using Direction = ConvTask::Direction;
    const ConvGeometry& g = task.geometry;
    ConvTask part = task;
    part.geometry.groups = 1;
    part.geometry.channels = g.group_channels(), part.geometry.filters = g.group_filters();
    if (part.pool) part.pool->channels = g.group_filters();
    part.gate = false;
    x_.of(g.channels, g.group_channels(), g.height * g.width, task.x);
    const Index y_pixels = task.pool ? task.pool->out_height * task.pool->out_width : g.out_height * g.out_width;
    y_.of(g.filters, g.group_filters(), y_pixels, task.y);
    part.x = x_.inner, part.y = y_.inner;
    inner_ = make_conv(part);
    inner_at_ = space_.add(inner_->workspace_floats());
    for (Plane* plane : {&x_, &y_})
      if (plane->plain) plane->at = space_.add(plane->channels * plane->pixels);
    if (task.direction == Direction::forward && task.pool && y_.plain) positions_at_ = space_.add(y_.channels * y_.pixels);
    if (task.direction == Direction::weight) sums_at_ = space_.add(inner_->partial_floats());
  }

  std::string describe() const override { return fmt::format("{} groups of: {}", task_.geometry.groups, inner_->describe()); }
  Index packed_floats() const override { return task_.geometry.groups * inner_->packed_floats(); }
  void pack(const float* w, float* packed) const override {
    for (Index i = 0; i < task_.geometry.groups; ++i) inner_->pack(w + i * filter_floats(), packed + i * inner_->packed_floats());
  }
  Index workspace_floats() const override { return space_.total(); }
  Index partial_floats() const override { return task_.geometry.groups * inner_->partial_floats(); }
  void finish(const float* partial, float* w, float* bias) const override {
    const ConvGeometry& g = task_.geometry;
    for (Index i = 0; i < g.groups; ++i)
      inner_->finish(partial + i * inner_->partial_floats(), w + i * filter_floats(),
                     bias != nullptr ? bias + i * g.group_filters() : nullptr);
  }

  void run(const ConvCall& call) const override {
    using Direction = ConvTask::Direction;
    if (task_.direction == Direction::weight) std::memset(call.out, 0, static_cast<std::size_t>(partial_floats()) * sizeof(float));
    for (Index n = 0; n < call.images; ++n) {
      if (task_.direction == Direction::forward) forward(call, n);
      else if (task_.direction == Direction::data) data(call, n);
      else weight(call, n);
    }
  }

 private:
  // One side's activations: as they lie, and as the inner kernel sees them.
  struct Plane {
    Index channels = 0, group_channels = 0, pixels = 0, floats = 0, at = 0;
    Layout inner = Layout::nchw;
    bool plain = false;  // goes through nchw
    void of(Index all, Index group, Index count, Layout layout) {
      channels = all, group_channels = group, pixels = count;
      inner = layout == Layout::nhwc8 && group % plane_channels == 0 ? Layout::nhwc8 : Layout::nchw;
      plain = inner != layout;
      floats = pixels * (layout == Layout::nhwc8 ? planes_of(channels) * plane_channels : channels);
    }
    Index group_at(Index group) const { return group * group_channels * pixels; }
  };

  Index filter_floats() const {  // of a group
    const ConvGeometry& g = task_.geometry;
    return g.group_filters() * g.group_channels() * g.kernel_height * g.kernel_width;
  }

  const float* plain_input(const Plane& plane, const float* image, float* workspace) const {
    if (!plane.plain) return image;
    from_blocks(rows_, plane.channels, plane.pixels, image, workspace + plane.at);
    return workspace + plane.at;
  }

  const float* plain_y(const ConvCall& call, Index n) const {
    if (task_.y != Layout::winners) return plain_input(y_, call.y + n * y_.floats, call.workspace);
    const WinnersLayout list{y_.channels, task_.capacity};
    const float* const image = call.y + n * list.entries();
    const auto* const words = reinterpret_cast<const std::int32_t*>(image);
    float* const y = call.workspace + y_.at;
    std::memset(y, 0, static_cast<std::size_t>(y_.channels * y_.pixels) * sizeof(float));
    for (Index c = 0; c < y_.channels; ++c)
      for (Index i = 0; i < words[c]; ++i) y[c * y_.pixels + words[list.positions_at(c) + i]] += image[list.values_at(c) + i];
    return y;
  }

  ConvCall part_of(const ConvCall& call, Index group) const {
    ConvCall part;
    part.images = 1;
    part.workspace = call.workspace + inner_at_;
    if (call.w != nullptr) part.w = call.w + group * inner_->packed_floats();
    if (call.bias != nullptr) part.bias = call.bias + group * task_.geometry.group_filters();
    return part;
  }

  void forward(const ConvCall& call, Index n) const {
    const float* const x = plain_input(x_, call.x + n * x_.floats, call.workspace);
    float* const out = call.out + n * y_.floats;
    std::int32_t* const positions = call.positions != nullptr ? call.positions + n * y_.floats : nullptr;
    float* const group_out = y_.plain ? call.workspace + y_.at : out;
    float* const scratch = call.workspace + positions_at_;
    std::int32_t* const group_positions = positions == nullptr || !y_.plain ? positions : reinterpret_cast<std::int32_t*>(scratch);
    for (Index i = 0; i < task_.geometry.groups; ++i) {
      ConvCall part = part_of(call, i);
      part.x = x + x_.group_at(i), part.out = group_out + y_.group_at(i);
      if (group_positions != nullptr) part.positions = group_positions + y_.group_at(i);
      inner_->run(part);
    }
    if (!y_.plain) return;
    to_blocks(rows_, y_.channels, y_.pixels, group_out, out);
    if (positions != nullptr) to_blocks(rows_, y_.channels, y_.pixels, scratch, reinterpret_cast<float*>(positions));
  }

  void data(const ConvCall& call, Index n) const {
    const float* const y = plain_y(call, n);
    float* const out = call.out + n * x_.floats;
    float* const group_out = x_.plain ? call.workspace + x_.at : out;
    for (Index i = 0; i < task_.geometry.groups; ++i) {
      ConvCall part = part_of(call, i);
      part.y = y + y_.group_at(i), part.out = group_out + x_.group_at(i);
      inner_->run(part);
    }
    if (x_.plain) to_blocks(rows_, x_.channels, x_.pixels, group_out, out);
    if (task_.gate) rows_.gate(x_.floats, call.gate + n * x_.floats, out);
  }

  void weight(const ConvCall& call, Index n) const {
    const float *const x = plain_input(x_, call.x + n * x_.floats, call.workspace), *const y = plain_y(call, n);
    float* const sums = call.workspace + sums_at_;
    for (Index i = 0; i < task_.geometry.groups; ++i) {
      ConvCall part = part_of(call, i);
      part.x = x + x_.group_at(i), part.y = y + y_.group_at(i), part.out = sums;
      inner_->run(part);
      float* const total = call.out + i * inner_->partial_floats();
      for (Index k = 0; k < inner_->partial_floats(); ++k) total[k] += sums[k];
    }
  }

  ConvTask task_;
  RowFunctions rows_;
  Plane x_, y_;
  std::unique_ptr<const Conv> inner_;
  Workspace space_;
  Index inner_at_ = 0, positions_at_ = 0, sums_at_ = 0;
};

}  // namespace

std::unique_ptr<const Conv> make_grouped_conv(const ConvTask& task) { return std::make_unique<GroupedConv>(task); }

}  // namespace wengert::direct
