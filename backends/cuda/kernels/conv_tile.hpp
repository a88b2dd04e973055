// Rung 2 of the convolution on CUDA, forward and data: a block stages a tile of some input channels and its filters in shared memory, and each
// thread holds filters x rows x 4 outputs in registers, so that a value that is read meets 4 to 16 others. With a filter of 3 or 5 columns and
// steps of one pixel a thread reads each input of a row once and slides over it.
#pragma once

#include <wengert/backends/cuda/kernels/staging.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

constexpr int thread_columns = 4;

// The first output of a block or thread: filter in its group, row, column.
struct ConvPlace {
  int image, group, filter, row, column;
};

// The row of thread_columns values from i on, a multiple of 4 where there are several.
template <int count>
WENGERT_DEVICE void load_run(const Shared<float>& from, int i, float (&to)[count]) {
  if constexpr (count % 4 == 0) {
    for (int j = 0; j < count; j += 4) {
      const Four four = from.load_four(i + j);
      to[j] = four.x, to[j + 1] = four.y, to[j + 2] = four.z, to[j + 3] = four.w;
    }
  } else {
    for (int j = 0; j < count; ++j) to[j] = from.load(i + j);
  }
}

// kernel_width 0: any filter, step and distance between taps.
template <int thread_filters, int thread_rows, int kernel_width, class Finish>
struct ConvTile {
  ConvPass pass;
  ConvTiling tiling;
  Planes in;
  Global<const float> w;
  Finish finish;

  using Sums = float[thread_filters][thread_rows][thread_columns];

  WENGERT_DEVICE int block_filters() const { return tiling.filters * thread_filters; }

  WENGERT_DEVICE ConvPlace block_place(const Thread& thread) const {
    const ConvTiling& t = tiling;
    int rest = static_cast<int>(thread.block());
    ConvPlace at;
    at.column = rest % t.column_tiles * t.columns * thread_columns;
    rest /= t.column_tiles;
    at.row = rest % t.row_tiles * t.rows * thread_rows;
    rest /= t.row_tiles;
    at.filter = rest % t.filter_tiles * block_filters();
    rest /= t.filter_tiles;
    at.group = rest % pass.groups;
    at.image = rest / pass.groups * t.images;
    return at;
  }

  WENGERT_DEVICE void operator()(Thread& thread) const {
    const ConvTiling& t = tiling;
    const Shared<float> inputs = thread.shared<float>(0, t.input_floats);
    const Shared<float> filters = thread.shared<float>(t.input_floats * 4, t.filter_floats);
    const ConvPlace block = block_place(thread);
    int rest = thread.index();
    const int column = rest % t.columns;
    rest /= t.columns;
    const int row = rest % t.rows;
    rest /= t.rows;
    const int image = rest % t.images, filter = rest / t.images * thread_filters;
    const bool works = filter < block_filters();  // the others only help to stage
    const int first_input = (image * t.channels * t.in_rows + row * thread_rows * pass.vertical.step) * t.inputs.pitch +
                            column * t.column_step * pass.horizontal.step;

    Sums sums = {};
    for (int channel = 0; channel < pass.in_channels; channel += t.channels) {
      const int left = pass.in_channels - channel, channels = left < t.channels ? left : t.channels;
      if (channel > 0) thread.barrier();
      stage(thread, inputs, t.inputs, in,
            {(block.image * pass.groups + block.group) * pass.in_channels + channel, pass.groups * pass.in_channels,
             pass.images - block.image, channels, block.row * pass.vertical.step + pass.vertical.first,
             block.column * pass.horizontal.step + pass.horizontal.first});
      stage_filters(thread, filters, block, channel, channels);
      thread.barrier();
      if (works) add_channels(inputs, filters, channels, first_input, filter, sums);
    }
    if (works) {
      finish(
          pass,
          {block.image + image, block.group, block.filter + filter, block.row + row * thread_rows, block.column + column * t.column_step},
          t.pixel_step, sums);
    }
  }

  // To the order channel, tap, filter; zeros beyond the last filter.
  WENGERT_DEVICE void stage_filters(const Thread& thread, const Shared<float>& to, const ConvPlace& block, int channel,
                                    int channels) const {
    constexpr int at_once = 4;
    const int filter = thread.index() % block_filters(), first = thread.index() / block_filters();
    if (first >= tiling.taps_at_once) return;
    const bool exists = block.filter + filter < pass.out_channels;
    const int base = block.group * pass.filter_group + (block.filter + filter) * pass.filter_out + channel * pass.filter_in +
                     pass.vertical.tap_first * pass.kernel_width + pass.horizontal.tap_first;
    const int row_step = pass.vertical.tap_step * pass.kernel_width;
    const int end = channels * pass.vertical.taps * pass.horizontal.taps;
    Digits at = digits_of(tiling.taps, first);
    for (int tap = first; tap < end;) {
      float values[at_once];
      for (int u = 0; u < at_once; ++u) {
        const bool there = exists && at.high < channels;
        values[u] = there ? w.load(base + at.high * pass.filter_in + at.middle * row_step + at.low * pass.horizontal.tap_step) : 0.0f;
        advance(tiling.taps, at);
      }
      for (int u = 0; u < at_once; ++u, tap += tiling.taps_at_once)
        if (tap < end) to.store(tap * block_filters() + filter, values[u]);
    }
  }

  WENGERT_DEVICE void add_channels(const Shared<float>& inputs, const Shared<float>& filters, int channels, int first_input, int filter,
                                   Sums& sums) const {
    const int plane = tiling.in_rows * tiling.inputs.pitch, row_step = pass.vertical.reach * tiling.inputs.pitch;
    const int tap_row = pass.horizontal.taps * block_filters();
    for (int c = 0; c < channels; ++c, first_input += plane) {
      int at = first_input;
      for (int r = 0; r < pass.vertical.taps; ++r, at += row_step, filter += tap_row) {
        if constexpr (kernel_width > 0) add_row_unrolled(inputs, filters, at, filter, sums);
        else add_row(inputs, filters, at, filter, sums);
      }
    }
  }

  WENGERT_DEVICE void add_row_unrolled(const Shared<float>& inputs, const Shared<float>& filters, int input, int filter, Sums& sums) const {
    constexpr int reach = (thread_columns + kernel_width - 1 + 3) / 4 * 4;
    float x[thread_rows][reach];
    for (int p = 0; p < thread_rows; ++p) load_run(inputs, input + p * pass.vertical.step * tiling.inputs.pitch, x[p]);
    for (int s = 0; s < kernel_width; ++s) {
      float taps[thread_filters];
      load_run(filters, filter + s * block_filters(), taps);
      for (int k = 0; k < thread_filters; ++k)
        for (int p = 0; p < thread_rows; ++p)
          for (int i = 0; i < thread_columns; ++i) sums[k][p][i] += x[p][i + s] * taps[k];
    }
  }

  WENGERT_DEVICE void add_row(const Shared<float>& inputs, const Shared<float>& filters, int input, int filter, Sums& sums) const {
    const int pixel_step = tiling.pixel_step * pass.horizontal.step, thread_row = pass.vertical.step * tiling.inputs.pitch;
    for (int s = 0; s < pass.horizontal.taps; ++s, input += pass.horizontal.reach, filter += block_filters()) {
      float taps[thread_filters], x[thread_rows][thread_columns];
      load_run(filters, filter, taps);
      for (int p = 0; p < thread_rows; ++p)
        for (int i = 0; i < thread_columns; ++i) x[p][i] = inputs.load(input + p * thread_row + i * pixel_step);
      for (int k = 0; k < thread_filters; ++k)
        for (int p = 0; p < thread_rows; ++p)
          for (int i = 0; i < thread_columns; ++i) sums[k][p][i] += x[p][i] * taps[k];
    }
  }
};

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
