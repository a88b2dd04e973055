// Rung 2 of the convolution on CUDA, weight gradient: a product (filters) x (channels and taps), summed over images and pixels. A block stages
// tiles of x and y and keeps its part of the product in registers over a chunk of them; the chunks' sums go to the workspace, and a second launch
// adds them. Both in a fixed order.
#pragma once

#include <string>
#include <type_traits>

#include <wengert/backends/cuda/conv.hpp>
#include <wengert/backends/cuda/kernels/conv_tile.hpp>
#include <wengert/backends/cuda/kernels/sum_parts.hpp>
#include <wengert/backends/cuda/refusal.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

// kernel_width 0: any filter, step and distance between taps; a thread has four columns. Else a row of taps, over which it slides.
template <int thread_filters, int kernel_width>
struct ConvWeightTile {
  static constexpr int thread_taps = kernel_width == 0 ? 4 : kernel_width;
  using Sums = float[thread_filters][thread_taps];

  ConvSizes s;
  ConvWeightTiling tiling;
  Planes x;
  Planes y;
  Global<float> parts;  // a chunk's: w, then the sums of y
  bool with_sums;

  struct Place {
    int filter, group, channel, column, channels, columns;  // of the block; filter in the group; column among the channels' taps
  };
  struct Unit {
    int image, row, column, rows, width;
  };

  WENGERT_DEVICE int block_filters() const { return tiling.filters * thread_filters; }

  WENGERT_DEVICE void operator()(Thread& thread) const {
    const ConvWeightTiling& t = tiling;
    int rest = static_cast<int>(thread.block());
    const int column_tile = rest % t.column_tiles;
    rest /= t.column_tiles;
    const int channel_tile = rest % t.channel_tiles;
    rest /= t.channel_tiles;
    const int filter_tile = rest % t.filter_tiles;
    rest /= t.filter_tiles;
    const int group = rest % s.groups, chunk = rest / s.groups;
    const int taps = s.kernel_height * s.kernel_width, channel = channel_tile * t.channels;
    const int left = s.group_channels - channel, channels = left < t.channels ? left : t.channels;
    const Place block{filter_tile * block_filters(), group, channel, column_tile * t.columns_a_tile, channels, channels * taps};

    const int together = t.columns * t.filters;
    const int own = thread.index() % together, split = thread.index() / together;
    const int first_column = block.column + own % t.columns * (kernel_width == 0 ? 1 : kernel_width);
    const int column_step = kernel_width == 0 ? t.columns : 1, filter = own / t.columns * thread_filters;
    int offset[thread_taps];
    for (int j = 0; j < thread_taps; ++j) {
      const int column = first_column + j * column_step;
      offset[j] = valid(block, column) ? place_of(column, taps) : 0;
    }

    const Shared<float> inputs = thread.shared<float>(0, t.input_floats);
    const Shared<float> outputs = thread.shared<float>(t.input_floats * 4, t.rows * t.pitch * block_filters());
    const bool sums_here = with_sums && channel_tile == 0 && column_tile == 0;
    Sums sums = {};
    float y_sum = 0.0f;
    const int first_unit = chunk * t.chunk_units, last_unit = first_unit + t.chunk_units < t.units ? first_unit + t.chunk_units : t.units;
    for (int u = first_unit; u < last_unit; ++u) {
      const Unit unit = unit_of(u);
      if (u > first_unit) thread.barrier();
      stage(thread, inputs, t.inputs, x,
            {unit.image * s.channels + group * s.group_channels + channel, 0, 1, channels, unit.row * s.stride_height - s.pad_top,
             unit.column * s.stride_width - s.pad_left});
      stage_outputs(thread, outputs, unit, block);
      thread.barrier();
      if (split < t.splits) {
        if constexpr (kernel_width == 0) add_pixels(inputs, outputs, unit, offset, filter, split, sums);
        else add_quads(inputs, outputs, unit, offset[0], filter, split, sums);
      }
      if (sums_here) y_sum += sum_of_outputs(thread, outputs, unit);
    }
    add_splits(thread, own, split, together, sums);
    if (split == 0) store_weights(chunk, block, block.filter + filter, first_column, column_step, sums);
    if (sums_here) store_sums(thread, chunk, block, y_sum);
  }

  WENGERT_DEVICE bool valid(const Place& block, int column) const {
    return column < block.columns && column < block.column + tiling.columns_a_tile;
  }
  // Of a column's first input among the staged ones.
  WENGERT_DEVICE int place_of(int column, int taps) const {
    const int c = column / taps, tap = column % taps;
    return (c * tiling.in_rows + tap / s.kernel_width * s.dilation_height) * tiling.inputs.pitch + tap % s.kernel_width * s.dilation_width;
  }
  WENGERT_DEVICE Unit unit_of(int number) const {
    const int column = number % tiling.width_tiles * tiling.width, rest = number / tiling.width_tiles;
    const int row = rest % tiling.row_tiles * tiling.rows;
    const int rows = s.out_height - row, width = s.out_width - column;
    return {rest / tiling.row_tiles, row, column, rows < tiling.rows ? rows : tiling.rows, width < tiling.width ? width : tiling.width};
  }

  // To the order pixel, filter; zeros beyond the last filter and pixel.
  WENGERT_DEVICE void stage_outputs(const Thread& thread, const Shared<float>& to, const Unit& unit, const Place& block) const {
    constexpr int together = thread_filters % 4 == 0 ? 4 : 1;
    for (int k = 0; k < block_filters(); k += together) {
      const int plane = unit.image * s.filters + block.group * s.group_filters + block.filter + k;
      Digits at = digits_of(tiling.pixels, thread.index());
      for (int p = thread.index(); p < tiling.rows * tiling.pitch; p += thread.size()) {
        float values[together];
        for (int j = 0; j < together; ++j) {
          const bool there = block.filter + k + j < s.group_filters && at.low < unit.width && at.middle < unit.rows;
          values[j] = there ? y.load(plane + j, unit.row + at.middle, unit.column + at.low) : 0.0f;
        }
        if constexpr (together == 4) to.store_four(p * block_filters() + k, {values[0], values[1], values[2], values[3]});
        else to.store(p * block_filters() + k, values[0]);
        advance(tiling.pixels, at);
      }
    }
  }

  WENGERT_DEVICE void add_pixels(const Shared<float>& inputs, const Shared<float>& outputs, const Unit& unit,
                                 const int (&offset)[thread_taps], int filter, int split, Sums& sums) const {
    const int input_step = tiling.splits * s.stride_width, output_step = tiling.splits * block_filters();
    for (int row = 0; row < unit.rows; ++row) {
      int input = row * s.stride_height * tiling.inputs.pitch + split * s.stride_width;
      int output = (row * tiling.pitch + split) * block_filters() + filter;
      for (int column = split; column < unit.width; column += tiling.splits, input += input_step, output += output_step) {
        float x_values[thread_taps], y_values[thread_filters];
        for (int j = 0; j < thread_taps; ++j) x_values[j] = inputs.load(input + offset[j]);
        load_run(outputs, output, y_values);
        for (int k = 0; k < thread_filters; ++k)
          for (int j = 0; j < thread_taps; ++j) sums[k][j] += x_values[j] * y_values[k];
      }
    }
  }

  // Four pixels of a row at a time; the staged y is zero beyond the last one.
  WENGERT_DEVICE void add_quads(const Shared<float>& inputs, const Shared<float>& outputs, const Unit& unit, int offset, int filter,
                                int split, Sums& sums) const {
    constexpr int reach = (4 + thread_taps - 1 + 3) / 4 * 4;
    for (Digits at = digits_of(tiling.quads, split); at.middle < unit.rows && at.high == 0; advance(tiling.quads, at)) {
      float x_values[reach];
      load_run(inputs, offset + at.middle * s.stride_height * tiling.inputs.pitch + at.low * 4, x_values);
      const int output = (at.middle * tiling.pitch + at.low * 4) * block_filters() + filter;
      for (int i = 0; i < 4; ++i) {
        float y_values[thread_filters];
        load_run(outputs, output + i * block_filters(), y_values);
        for (int k = 0; k < thread_filters; ++k)
          for (int j = 0; j < thread_taps; ++j) sums[k][j] += x_values[i + j] * y_values[k];
      }
    }
  }

  // Of one filter, every so many pixels of it.
  WENGERT_DEVICE float sum_of_outputs(const Thread& thread, const Shared<float>& outputs, const Unit& unit) const {
    const int filter = thread.index() % block_filters(), sharers = thread.size() / block_filters();
    float sum = 0.0f;
    if (thread.index() / block_filters() >= sharers) return sum;
    for (int p = thread.index() / block_filters(); p < unit.rows * tiling.pitch; p += sharers)
      sum += outputs.load(p * block_filters() + filter);
    return sum;
  }

  // The upper half of the splits to the lower half, until one has all.
  WENGERT_DEVICE void add_splits(Thread& thread, int own, int split, int together, Sums& sums) const {
    const Shared<float> room = thread.shared<float>(0, tiling.shared_floats);
    for (int half = tiling.splits / 2; half > 0; half /= 2) {
      thread.barrier();
      if (split >= half && split < 2 * half) {
        for (int k = 0; k < thread_filters; ++k)
          for (int j = 0; j < thread_taps; ++j)
            room.store((((split - half) * thread_filters + k) * thread_taps + j) * together + own, sums[k][j]);
      }
      thread.barrier();
      if (split < half) {
        for (int k = 0; k < thread_filters; ++k)
          for (int j = 0; j < thread_taps; ++j) sums[k][j] += room.load(((split * thread_filters + k) * thread_taps + j) * together + own);
      }
    }
  }

  WENGERT_DEVICE int filter_elements() const { return s.group_channels * s.kernel_height * s.kernel_width; }
  WENGERT_DEVICE Index part(int chunk) const { return Index{chunk} * (Index{s.filters} * filter_elements() + s.filters); }

  WENGERT_DEVICE void store_weights(int chunk, const Place& block, int filter, int first_column, int column_step, const Sums& sums) const {
    const int taps = s.kernel_height * s.kernel_width;
    for (int k = 0; k < thread_filters; ++k) {
      if (filter + k >= s.group_filters) continue;
      const int first = (block.group * s.group_filters + filter + k) * filter_elements() + block.channel * taps;
      for (int j = 0; j < thread_taps; ++j) {
        const int column = first_column + j * column_step;
        if (valid(block, column)) parts.store(part(chunk) + first + column, sums[k][j]);
      }
    }
  }

  WENGERT_DEVICE void store_sums(Thread& thread, int chunk, const Place& block, float own) const {
    const Shared<float> room = thread.shared<float>(0, tiling.shared_floats);
    const int sharers = thread.size() / block_filters(), filter = thread.index();
    thread.barrier();
    if (thread.index() < sharers * block_filters()) room.store(thread.index(), own);
    thread.barrier();
    if (filter >= block_filters() || block.filter + filter >= s.group_filters) return;
    float sum = 0.0f;
    for (int i = 0; i < sharers; ++i) sum += room.load(i * block_filters() + filter);
    parts.store(part(chunk) + Index{s.filters} * filter_elements() + block.group * s.group_filters + block.filter + filter, sum);
  }
};

inline Index conv_weight_bytes(const ConvGeometry& g, Index images) {
  std::string refusal = refuse_conv_sizes(g, images);
  if (images == 0 || !refusal.empty()) return 0;
  const ConvWeightTiling tiling = tile_conv_weight(g, images, refusal);
  return tiling.workspace_floats(ConvElements(g, images), g) * size_of(DType::f32);
}

inline void conv_weight_bias(Queue& queue, const ConvGeometry& g, Index images, const float* x, const float* y, float* w, float* sums,
                             void* workspace) {
  want(queue, refuse_conv_sizes(g, images));
  const ConvElements count(g, images);
  if (images == 0) {
    queue.fill(w, 0, count.w * size_of(DType::f32));
    if (sums != nullptr) queue.fill(sums, 0, g.filters * size_of(DType::f32));
    return;
  }
  std::string refusal;
  const ConvWeightTiling tiling = tile_conv_weight(g, images, refusal);
  want(queue, refusal);
  const ConvSizes s = conv_sizes(g, images);
  const Planes inputs{{x, count.x}, s.height, s.width}, cotangents{{y, count.y}, s.out_height, s.out_width};
  auto* const parts = static_cast<float*>(workspace);
  const Index part = count.w + g.filters;
  const auto run = [&](auto filters, auto width) {
    launch(queue, "conv_tiled_weight", tiling.grid(s.groups),
           ConvWeightTile<filters(), width()>{s, tiling, inputs, cotangents, {parts, tiling.chunks * part}, sums != nullptr});
  };
  const auto run_width = [&](auto filters) {
    if (tiling.kernel_width == 5) run(filters, std::integral_constant<int, 5>());
    else if (tiling.kernel_width == 3) run(filters, std::integral_constant<int, 3>());
    else run(filters, std::integral_constant<int, 0>());
  };
  if (tiling.thread_filters == 1) run(std::integral_constant<int, 1>(), std::integral_constant<int, 0>());
  else if (tiling.thread_filters == 4) run_width(std::integral_constant<int, 4>());
  else run_width(std::integral_constant<int, 8>());
  sum_parts(queue, tiling.chunks, part, parts, count.w, w, g.filters, sums, false);
}

inline void conv_tiled_weight(Queue& queue, const ConvGeometry& g, Index images, const float* x, const float* y, float* w,
                              void* workspace) {
  conv_weight_bias(queue, g, images, x, y, w, nullptr, workspace);
}

inline void add_conv_weight(ConvFunctions& f) {
  f.tiled.weight = {refuse_conv_tiled_weight, conv_weight_bytes, conv_tiled_weight};
  f.fused.weight_bias = conv_weight_bias;
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
