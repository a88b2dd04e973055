// The input of the direct convolution kernels, laid out so that neither padding nor stride enters their loops. Timed as a part of them.
#include <algorithm>
#include <cstring>

#include <wengert/backends/direct/conv_lower.hpp>

namespace wengert::direct {
namespace {

constexpr Index slack = 16;     // between planes, so that they do not share the cache's sets
constexpr Index overread = 64;  // behind the last plane

}  // namespace

void TileInput::fit(Index padded_rows, Index padded_columns) {
  row_pairs = row_pairs && planar;
  pixel = row_pairs ? 2 : planar ? 1 : plane_channels;
  bordered = row_pairs || top > 0 || left > 0 || padded_rows > height || padded_columns > width;
  copied = bordered || stride_width > 1;
  rows = copied ? std::max(padded_rows, 1L) : height;
  columns = copied ? (std::max(padded_columns, 1L) + stride_width - 1) / stride_width : width;
  pitch = column_phases * columns * pixel;
  plane = rows * pitch + (copied ? slack : 0);
}

Index TileInput::buffer_floats() const { return copied ? planes() * plane + overread : 0; }

void TileInput::clear(float* buffer) const {
  if (copied && bordered) std::memset(buffer, 0, static_cast<std::size_t>(buffer_floats()) * sizeof(float));
}

void TileInput::gather(const float* image, float* buffer, Index first_row, Index last_row) const {
  const Index floats = planar ? 1 : plane_channels;
  for (Index p = 0; p < planes(); ++p)
    for (Index row = first_row; row < last_row; ++row) {
      if (row % stride_height >= row_phases) continue;
      const Index y = row - top, below = y + stride_height;
      const auto row_at = [&](Index h) { return h >= 0 && h < height ? image + (p * height + h) * width * floats : nullptr; };
      const float* const from = row_at(y);
      const float* const other = row_pairs ? row_at(below) : nullptr;
      if (from == nullptr && other == nullptr) continue;
      for (Index phase = 0; phase < column_phases; ++phase) {
        const Index first = std::max<Index>(0, (left - phase + stride_width - 1) / stride_width);
        const Index last = std::min(columns, (left + width - phase + stride_width - 1) / stride_width);
        if (last <= first) continue;
        float* __restrict const to = buffer + p * plane + row * pitch + (phase * columns + first) * pixel;
        const Index column = first * stride_width + phase - left;
        if (pixel == 2 && stride_width == 1 && from != nullptr && other != nullptr) {  // a loop that vectorises
          const float *const a = from + column, *const b = other + column;
          for (Index i = 0; i < last - first; ++i) {
            to[2 * i] = a[i];
            to[2 * i + 1] = b[i];
          }
        } else if (pixel == 2) {
          for (Index i = 0; i < last - first; ++i) {
            to[2 * i] = from != nullptr ? from[column + i * stride_width] : 0.0f;
            to[2 * i + 1] = other != nullptr ? other[column + i * stride_width] : 0.0f;
          }
        } else if (stride_width == 1) {
          std::memcpy(to, from + column * floats, static_cast<std::size_t>((last - first) * floats) * sizeof(float));
        } else if (planar) {
          for (Index i = 0; i < last - first; ++i) to[i] = from[column + i * stride_width];
        } else {
          for (Index i = 0; i < last - first; ++i)
            std::memcpy(to + i * plane_channels, from + (column + i * stride_width) * plane_channels, plane_channels * sizeof(float));
        }
      }
    }
}

void TileInput::scatter(const float* buffer, float* image) const {
  const Index kept_rows = std::min(height, rows - top), kept = std::min(width, columns - left);
  for (Index p = 0; p < planes(); ++p)
    for (Index y = 0; y < height; ++y) {
      float* const to = image + (p * height + y) * width * pixel;
      const Index copy = y < kept_rows ? std::max<Index>(0, kept) * pixel : 0;
      std::memcpy(to, buffer + p * plane + (y + top) * pitch + left * pixel, static_cast<std::size_t>(copy) * sizeof(float));
      std::memset(to + copy, 0, static_cast<std::size_t>(width * pixel - copy) * sizeof(float));
    }
}

TileInput input_of(const ConvGeometry& g, bool planar, bool phases) {
  TileInput in;
  in.channels = g.channels, in.height = g.height, in.width = g.width, in.planar = planar;
  in.top = g.pad_top, in.left = g.pad_left;
  const auto used = [](Index taps, Index dilation, Index stride) { return dilation == 1 ? std::min(taps, stride) : stride; };
  in.stride_height = g.stride_height;
  in.row_phases = used(g.kernel_height, g.dilation_height, g.stride_height);
  if (phases) in.stride_width = g.stride_width, in.column_phases = used(g.kernel_width, g.dilation_width, g.stride_width);
  in.fit((g.out_height - 1) * g.stride_height + (g.kernel_height - 1) * g.dilation_height + 1,
         (g.out_width - 1) * g.stride_width + (g.kernel_width - 1) * g.dilation_width + 1);
  return in;
}

}  // namespace wengert::direct
