// Which direct kernel serves a convolution task.
#include <wengert/backends/direct/conv.hpp>

#include <algorithm>
#include <cassert>

#include <wengert/backends/direct/conv_impl.hpp>

namespace wengert::direct {

void to_blocks(const RowFunctions& rows, Index channels, Index pixels, const float* in, float* out) {
  for (Index p = 0; p < planes_of(channels); ++p)
    rows.from_planes(pixels, std::min(plane_channels, channels - p * plane_channels), in + p * plane_channels * pixels,
                     out + p * plane_channels * pixels);
}

void from_blocks(const RowFunctions& rows, Index channels, Index pixels, const float* in, float* out) {
  for (Index p = 0; p < planes_of(channels); ++p)
    rows.to_planes(pixels, std::min(plane_channels, channels - p * plane_channels), plane_channels, in + p * plane_channels * pixels,
                   out + p * plane_channels * pixels);
}

std::string refuse_conv(const ConvTask& task) {
  using Direction = ConvTask::Direction;
  if (task.x == Layout::winners) return "x is dense";
  if (task.y == Layout::winners && task.direction == Direction::forward) return "forward makes no winners";
  if (task.pool && task.direction != Direction::forward) return "only forward pools";
  if (task.gate && task.direction != Direction::data) return "only the gradient of x is gated";
  if (task.relu && task.direction != Direction::forward) return "only forward clips";
  return "";
}

std::unique_ptr<const Conv> make_conv(const ConvTask& task) {
  assert(refuse_conv(task).empty());
  const ConvGeometry& g = task.geometry;
  const bool depthwise = g.groups == g.channels && g.groups == g.filters && g.groups > 1;
  if (depthwise && task.x == Layout::nhwc8 && task.y == Layout::nhwc8 && !task.pool) return make_depthwise_conv(task);
  if (g.groups != 1) return make_grouped_conv(task);
  if (has_one_pixel(task)) return make_one_pixel_conv(task);
  if (task.y == Layout::winners) return make_winners_conv(task);
  if (task.direction == ConvTask::Direction::weight) return make_weight_conv(task);
  return make_dense_conv(task);
}

}  // namespace wengert::direct
