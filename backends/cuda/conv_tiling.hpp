// How the convolution kernels see their sizes and cut their work: plain ints, found on the host from the geometry and the number of images
// alone, so that the same sizes are always summed in the same order.
#pragma once

#include <string>

#include <wengert/backends/cuda/queue.hpp>
#include <wengert/backends/geometry.hpp>

namespace wengert::cuda {

// ConvGeometry in 32 bits, with the images.
struct ConvSizes {
  int images, channels, height, width;
  int filters, kernel_height, kernel_width;
  int out_height, out_width;
  int stride_height, stride_width, dilation_height, dilation_width, pad_top, pad_left;
  int groups, group_channels, group_filters;
};
// Kernels index operands by int. Empty where x, w and y fit.
std::string refuse_conv_sizes(const ConvGeometry& g, Index images);
ConvSizes conv_sizes(const ConvGeometry& g, Index images);

// Of the operands.
struct ConvElements {
  ConvElements(const ConvGeometry& g, Index images)
      : x(images * g.channels * g.height * g.width),
        w(g.filters * g.group_channels() * g.kernel_height * g.kernel_width),
        y(images * g.filters * g.out_height * g.out_width) {}
  Index x, w, y;
};

inline Index no_workspace(const ConvGeometry& /*g*/, Index /*images*/) { return 0; }

// A number that is counted up by a fixed step and kept as the digits high, middle, low, so that no thread divides in a loop.
struct Counting {
  int low_count = 1, middle_count = 1;
  int low_step = 0, middle_step = 0, high_step = 0;
};

// One axis of a convolution read as a gather: output o sums, over taps j, the input o * step + first + j * reach times the filter's tap
// tap_first + j * tap_step. Output o stands at place_first + o * place_step of the `places` that the result has along the axis.
struct GatherAxis {
  int in = 0, out = 0, taps = 0;
  int step = 1, first = 0, reach = 1;
  int tap_first = 0, tap_step = 1;
  int places = 0, place_first = 0, place_step = 1;
};

// What one launch of the tiled kernel computes: y from x, or those pixels of x from y that meet the same taps.
struct ConvPass {
  GatherAxis vertical, horizontal;
  int images = 0, groups = 1;
  int in_channels = 0, out_channels = 0;                // of a group
  int filter_group = 0, filter_out = 0, filter_in = 0;  // from one to the next in w
  int kernel_width = 0;                                 // of w
};
ConvPass forward_pass(const ConvGeometry& g, Index images);
ConvPass pooled_pass(const ConvGeometry& g, const PoolGeometry& pool, Index images);  // without what lies beyond the last window
// Pixels (row_phase + i * stride, column_phase + j * stride) of x. Without any tap that reaches them the pass has no channels to read.
ConvPass data_pass(const ConvGeometry& g, Index images, Index row_phase, Index column_phase);

// Rows of planes that a block copies to shared memory: so many lanes take a row, a row of threads at a time.
struct Staging {
  int lanes = 1, rows_at_once = 1;
  int rows = 0, pitch = 0;  // of all planes; elements from one row to the next, a multiple of 4
  Counting count;           // low: the row in its plane, middle: the channel, high: the image
};

// Blocks and threads of a pass. A thread has thread_filters (8, 4 or 1) filters times thread_rows rows of 4 columns.
struct ConvTiling {
  int thread_filters = 4, thread_rows = 1;
  int kernel_width = 0;                                // that the kernel is unrolled for: 3 or 5 at steps of one pixel, else 0
  int images = 1, rows = 1, columns = 1, filters = 1;  // threads of a block along each
  int image_tiles = 0, row_tiles = 0, column_tiles = 0, filter_tiles = 0;  // blocks along each, in each group
  int channels = 1;                                                        // staged at a time
  int in_rows = 0;                                                         // staged of a plane
  int column_step = 4, pixel_step = 1;  // columns from one thread to the next, and from one of its pixels to the next
  Staging inputs;
  Counting taps;  // of the filters' staging. Low: tap column, middle: tap row, high: channel
  int taps_at_once = 1;
  int threads = 0, input_floats = 0, filter_floats = 0;
  Grid grid(int groups) const;
};
// Whole windows of a pool stand side by side in a thread with two rows; at least `least_filters` (1, 4 or 8) filters a thread.
// Where there is no tiling, `refusal` says why.
ConvTiling tile_conv(const ConvPass& pass, int thread_rows, int least_filters, std::string& refusal);

std::string refuse_conv_tiled(const ConvGeometry& g, Index images);
std::string refuse_conv_tiled_data(const ConvGeometry& g, Index images);
std::string refuse_conv_tiled_weight(const ConvGeometry& g, Index images);
std::string refuse_conv_pool(const ConvGeometry& g, const PoolGeometry& pool, Index images);  // fused behind the convolution

// The weight gradient as a product (filters) x (columns), summed over pixels; a column is a channel and a tap. A block takes some of both and
// adds up a chunk of units, a unit being a tile of pixels of an image; its `splits` share the pixels.
struct ConvWeightTiling {
  int thread_filters = 4;  // 8, 4 or 1
  int kernel_width = 0;    // that the kernel is unrolled for, as in ConvTiling; a thread then has a filter's row of taps, else 4 columns
  int filters = 1, columns = 1, splits = 1;                   // threads of a block along each
  int channels = 1;                                           // of a block
  int columns_a_tile = 0;                                     // channels * taps, or part of one channel's taps
  int filter_tiles = 0, channel_tiles = 0, column_tiles = 0;  // blocks along each, in each group and chunk
  int rows = 1, width = 1, row_tiles = 1, width_tiles = 1;    // of a unit; units of an image
  int pitch = 1;                                              // pixels from one staged row of y to the next
  int units = 0, chunk_units = 1, chunks = 0;
  int in_rows = 0;  // staged of a plane of x
  Staging inputs;
  Counting pixels;  // of y's staging. Low: column, middle: row
  Counting quads;   // of 4 pixels each, that a split takes. Low: in the row, middle: row
  int threads = 0, input_floats = 0, shared_floats = 0;
  Grid grid(int groups) const;
  Index workspace_floats(const ConvElements& count, const ConvGeometry& g) const { return chunks * (count.w + g.filters); }
};
ConvWeightTiling tile_conv_weight(const ConvGeometry& g, Index images, std::string& refusal);

}  // namespace wengert::cuda
