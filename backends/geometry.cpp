#include <wengert/backends/geometry.hpp>

#include <fmt/format.h>

namespace wengert {

std::string ConvGeometry::describe() const {
  std::string text = fmt::format("{}x{}x{} * {}x{}x{} -> {}x{}x{}, stride {}x{}", channels, height, width, filters, kernel_height,
                                 kernel_width, filters, out_height, out_width, stride_height, stride_width);
  if (dilation_height != 1 || dilation_width != 1) text += fmt::format(", dilation {}x{}", dilation_height, dilation_width);
  if (pad_top != 0 || pad_bottom != 0 || pad_left != 0 || pad_right != 0)
    text += fmt::format(", padding {}+{} x {}+{}", pad_top, pad_bottom, pad_left, pad_right);
  if (groups != 1) text += fmt::format(", {} groups", groups);
  return text;
}

std::string PoolGeometry::describe() const {
  std::string text = fmt::format("{}x{}x{} -> {}x{}x{}, window {}x{}, stride {}x{}", channels, height, width, channels, out_height,
                                 out_width, window_height, window_width, stride_height, stride_width);
  if (pad_top != 0 || pad_bottom != 0 || pad_left != 0 || pad_right != 0)
    text += fmt::format(", padding {}+{} x {}+{}", pad_top, pad_bottom, pad_left, pad_right);
  if (count_padding) text += ", padding counted";
  return text;
}

}  // namespace wengert
