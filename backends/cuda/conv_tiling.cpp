#include <wengert/backends/cuda/conv_tiling.hpp>

#include <algorithm>
#include <limits>

#include <wengert/backends/taps.hpp>

namespace wengert::cuda {
namespace {

// Measured nowhere yet: sizes that give devices of about 100 to 150 multiprocessors two blocks each, of 4 warps.
constexpr int enough_blocks = 264;
constexpr int block_threads = 128, small_block_threads = 64;
constexpr int enough_threads = 32768;  // where there are as many, each may take more
constexpr int wanted_floats = 6144;    // of shared memory, so that several blocks share a multiprocessor
constexpr int most_floats = most_shared_bytes / static_cast<int>(sizeof(float));

int narrow(Index value) { return static_cast<int>(value); }
int up(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }
int parts(int whole, int part) { return (whole + part - 1) / part; }
// Cut in as many parts as parts of `part` would need, but alike.
int even(int whole, int part) { return whole <= part ? whole : parts(whole, parts(whole, part)); }

Counting counting(int low_count, int middle_count, int step) {
  return {low_count, middle_count, step % low_count, step / low_count % middle_count, step / low_count / middle_count};
}

Staging stage_planes(int images, int channels, int rows, int pitch, int threads) {
  Staging made;
  while (made.lanes < std::min(pitch, warp_size)) made.lanes *= 2;
  made.rows_at_once = threads / made.lanes;
  made.rows = images * channels * rows;
  made.pitch = pitch;
  made.count = counting(rows, channels, made.rows_at_once);
  return made;
}

GatherAxis forward_axis(const ConvAxis& axis) {
  GatherAxis made;
  made.in = narrow(axis.in), made.out = made.places = narrow(axis.out), made.taps = narrow(axis.kernel);
  made.step = narrow(axis.stride), made.first = narrow(-axis.pad), made.reach = narrow(axis.dilation);
  return made;
}

// Inputs phase, phase + stride, ...: each meets every tap_step-th tap, and from one tap to the next the output falls by out_step. Taps are taken
// last first, so that outputs rise.
GatherAxis data_axis(const ConvAxis& axis, Index phase) {
  const Index common = std::gcd(axis.stride, axis.dilation);
  const Index tap_step = axis.stride / common, out_step = axis.dilation / common;
  GatherAxis made;
  made.in = narrow(axis.out), made.out = narrow(ceil_div(axis.in - phase, axis.stride));
  made.places = narrow(axis.in), made.place_first = narrow(phase), made.place_step = narrow(axis.stride);
  made.reach = narrow(out_step), made.tap_step = narrow(-tap_step);
  Index tap = 0;
  while (tap < tap_step && (phase + axis.pad - tap * axis.dilation) % axis.stride != 0) ++tap;
  if (tap == tap_step || tap >= axis.kernel) return made;
  const Index taps = (axis.kernel - 1 - tap) / tap_step + 1;
  made.taps = narrow(taps);
  made.first = narrow((phase + axis.pad - tap * axis.dilation) / axis.stride - (taps - 1) * out_step);
  made.tap_first = narrow(tap + (taps - 1) * tap_step);
  return made;
}

// Positions of the input that `out` outputs and all taps read.
int span_of(const GatherAxis& axis, int out) { return (out - 1) * axis.step + (axis.taps - 1) * axis.reach + 1; }

int unrolled_width(const GatherAxis& axis) {
  return axis.step == 1 && axis.reach == 1 && (axis.taps == 3 || axis.taps == 5) ? axis.taps : 0;
}

// More filters a thread where that leaves enough threads, and no filter for nothing.
int filters_a_thread(const ConvPass& pass, int thread_rows) {
  if (pass.out_channels == 1) return 1;
  if (up(pass.out_channels, 8) > up(pass.out_channels, 4)) return 4;
  const Index threads = Index{pass.images} * pass.groups * parts(pass.out_channels, 8) * parts(pass.vertical.out, thread_rows) *
                        parts(pass.horizontal.out, 4);
  return threads >= enough_threads ? 8 : 4;
}

std::string refuse_window(const PoolGeometry& pool) {
  const bool apart = pool.window_height == pool.stride_height && pool.window_width == pool.stride_width;
  if (apart && pool.pad_top == 0 && pool.pad_bottom == 0 && pool.pad_left == 0 && pool.pad_right == 0) return {};
  return "wanted a pool without padding whose window is its stride, got " + pool.describe();
}

bool shrink(int& size) {
  if (size == 1) return false;
  size = (size + 1) / 2;
  return true;
}

}  // namespace

std::string refuse_conv_sizes(const ConvGeometry& g, Index images) {
  constexpr Index most = std::numeric_limits<int>::max();
  // Positions that a tile reaches beyond the last output, and where a product could overflow.
  constexpr Index slack = 4096;
  const ConvElements count(g, images);
  const bool fits = std::max({count.x, count.w, count.y}) <= most;
  const auto axis_fits = [&](const ConvAxis& axis) {
    const Index reach = (axis.kernel - 1) * axis.dilation;
    return (axis.in + axis.out + slack) * axis.stride + axis.pad + reach <= most;
  };
  if (fits && axis_fits(vertical(g)) && axis_fits(horizontal(g))) return {};
  return "wanted operands of at most 2^31 - 1 elements, got " + std::to_string(images) + " images of " + g.describe();
}

ConvSizes conv_sizes(const ConvGeometry& g, Index images) {
  return {.images = narrow(images),
          .channels = narrow(g.channels),
          .height = narrow(g.height),
          .width = narrow(g.width),
          .filters = narrow(g.filters),
          .kernel_height = narrow(g.kernel_height),
          .kernel_width = narrow(g.kernel_width),
          .out_height = narrow(g.out_height),
          .out_width = narrow(g.out_width),
          .stride_height = narrow(g.stride_height),
          .stride_width = narrow(g.stride_width),
          .dilation_height = narrow(g.dilation_height),
          .dilation_width = narrow(g.dilation_width),
          .pad_top = narrow(g.pad_top),
          .pad_left = narrow(g.pad_left),
          .groups = narrow(g.groups),
          .group_channels = narrow(g.group_channels()),
          .group_filters = narrow(g.group_filters())};
}

ConvPass forward_pass(const ConvGeometry& g, Index images) {
  ConvPass made;
  made.vertical = forward_axis(vertical(g)), made.horizontal = forward_axis(horizontal(g));
  made.images = narrow(images), made.groups = narrow(g.groups);
  made.in_channels = narrow(g.group_channels()), made.out_channels = narrow(g.group_filters());
  made.kernel_width = narrow(g.kernel_width);
  made.filter_in = narrow(g.kernel_height * g.kernel_width);
  made.filter_out = made.in_channels * made.filter_in;
  made.filter_group = made.out_channels * made.filter_out;
  return made;
}

ConvPass pooled_pass(const ConvGeometry& g, const PoolGeometry& pool, Index images) {
  ConvPass made = forward_pass(g, images);
  made.vertical.out = narrow(pool.out_height * pool.window_height);
  made.horizontal.out = narrow(pool.out_width * pool.window_width);
  return made;
}

ConvPass data_pass(const ConvGeometry& g, Index images, Index row_phase, Index column_phase) {
  ConvPass made = forward_pass(g, images);
  std::swap(made.in_channels, made.out_channels);
  std::swap(made.filter_in, made.filter_out);
  made.vertical = data_axis(vertical(g), row_phase), made.horizontal = data_axis(horizontal(g), column_phase);
  if (made.vertical.taps == 0 || made.horizontal.taps == 0) made.in_channels = 0;
  return made;
}

ConvTiling tile_conv(const ConvPass& pass, int thread_rows, int least_filters, std::string& refusal) {
  constexpr int most_filters = 32, most_columns = 16;
  const int taps = pass.vertical.taps * pass.horizontal.taps;
  const int rows = parts(pass.vertical.out, thread_rows), columns = parts(pass.horizontal.out, 4);
  ConvTiling made;
  made.thread_rows = thread_rows;
  made.thread_filters = std::max(least_filters, filters_a_thread(pass, thread_rows));
  made.kernel_width = unrolled_width(pass.horizontal);
  const int filters = parts(pass.out_channels, made.thread_filters);
  const Index all = Index{pass.images} * pass.groups * rows * columns * filters;
  const int threads = all < Index{enough_blocks} * block_threads ? small_block_threads : block_threads;
  made.filters = even(filters, std::max(1, most_filters / made.thread_filters));
  made.columns = even(columns, std::min(most_columns, std::max(1, threads / made.filters)));
  made.rows = even(rows, std::max(1, threads / (made.filters * made.columns)));
  made.images = std::clamp(threads / (made.filters * made.columns * made.rows), 1, std::max(1, pass.images));

  // Of one channel. A thread of an unrolled kernel may read up to the end of a row.
  const auto plane_floats = [&] {
    made.in_rows = pass.in_channels == 0 ? 1 : span_of(pass.vertical, made.rows * thread_rows);
    made.inputs.pitch = pass.in_channels == 0 ? 4 : up(span_of(pass.horizontal, made.columns * 4), 4);
    return Index{made.in_rows} * made.inputs.pitch * made.images;
  };
  const auto filter_floats = [&] { return Index{made.filters} * made.thread_filters * taps; };
  while (plane_floats() + filter_floats() > wanted_floats &&
         (shrink(made.images) || shrink(made.rows) || shrink(made.columns) || shrink(made.filters))) {
  }
  const Index one = plane_floats() + filter_floats();
  if (one + 4 > most_floats) {
    refusal = "wanted a tile of one channel in " + std::to_string(most_shared_bytes) + " bytes, got " +
              std::to_string((one + 4) * static_cast<Index>(sizeof(float)));
    return made;
  }
  made.channels = std::max(1, even(pass.in_channels, std::max(1, narrow(wanted_floats / one))));
  made.image_tiles = parts(pass.images, made.images), made.row_tiles = parts(rows, made.rows);
  made.column_tiles = parts(columns, made.columns), made.filter_tiles = parts(filters, made.filters);
  if (made.kernel_width == 0 && thread_rows == 1) made.column_step = 1, made.pixel_step = made.columns;

  made.threads = up(std::max(made.images * made.rows * made.columns * made.filters, small_block_threads), warp_size);
  made.inputs = stage_planes(made.images, made.channels, made.in_rows, made.inputs.pitch, made.threads);
  made.input_floats = made.inputs.rows * made.inputs.pitch;
  made.filter_floats = narrow(filter_floats()) * made.channels;
  made.taps_at_once = made.threads / (made.filters * made.thread_filters);
  made.taps = counting(std::max(1, pass.horizontal.taps), std::max(1, pass.vertical.taps), made.taps_at_once);
  return made;
}

std::string refuse_conv_tiled(const ConvGeometry& g, Index images) {
  std::string refusal = refuse_conv_sizes(g, images);
  if (refusal.empty()) tile_conv(forward_pass(g, images), 1, 1, refusal);
  return refusal;
}

std::string refuse_conv_tiled_data(const ConvGeometry& g, Index images) {
  constexpr Index most_passes = 16;  // launches
  std::string refusal = refuse_conv_sizes(g, images);
  if (!refusal.empty()) return refusal;
  const Index rows = std::min(g.stride_height, g.height), columns = std::min(g.stride_width, g.width);
  if (rows * columns > most_passes) return "wanted a stride of at most 16 pixels, got " + g.describe();
  for (Index row = 0; row < rows && refusal.empty(); ++row)
    for (Index column = 0; column < columns && refusal.empty(); ++column) tile_conv(data_pass(g, images, row, column), 1, 1, refusal);
  return refusal;
}

std::string refuse_conv_tiled_weight(const ConvGeometry& g, Index images) {
  std::string refusal = refuse_conv_sizes(g, images);
  if (refusal.empty()) tile_conv_weight(g, images, refusal);
  return refusal;
}

std::string refuse_conv_pool(const ConvGeometry& g, const PoolGeometry& pool, Index images) {
  std::string refusal = refuse_conv_sizes(g, images);
  if (refusal.empty()) refusal = refuse_window(pool);
  const Index height = pool.window_height, width = pool.window_width;
  if (refusal.empty() && (height > 2 || width > 2 || height * width < 2))
    refusal = "wanted a window of 2 x 2, 1 x 2 or 2 x 1, got " + pool.describe();
  if (refusal.empty()) tile_conv(pooled_pass(g, pool, images), 2, 4, refusal);
  return refusal;
}

Grid ConvTiling::grid(int groups) const {
  return {Index{image_tiles} * groups * filter_tiles * row_tiles * column_tiles, threads,
          (input_floats + filter_floats) * static_cast<int>(sizeof(float))};
}

ConvWeightTiling tile_conv_weight(const ConvGeometry& g, Index images, std::string& refusal) {
  constexpr int most_columns = 64, most_threads_together = 256, least_rows = 4;
  const ConvSizes s = conv_sizes(g, images);
  const int taps = s.kernel_height * s.kernel_width;
  ConvWeightTiling made;
  made.thread_filters = s.group_filters == 1 ? 1 : up(s.group_filters, 8) > up(s.group_filters, 4) ? 4 : 8;
  made.kernel_width = made.thread_filters == 1 ? 0 : unrolled_width(forward_axis(horizontal(g)));
  const int thread_taps = made.kernel_width == 0 ? 4 : made.kernel_width;
  made.channels = even(s.group_channels, std::max(1, most_columns * thread_taps / taps));
  made.rows = s.out_height, made.width = s.out_width;
  const int filters = parts(s.group_filters, made.thread_filters);

  const auto lay_out = [&] {
    made.columns_a_tile = made.channels * taps;
    made.column_tiles = 1;
    if (made.columns_a_tile > most_columns * thread_taps) {
      made.columns_a_tile =
          made.kernel_width == 0 ? even(taps, most_columns * thread_taps) : even(s.kernel_height, most_columns) * thread_taps;
      made.column_tiles = parts(taps, made.columns_a_tile);
    }
    made.columns = parts(made.columns_a_tile, thread_taps);
    made.filters = even(filters, std::max(1, std::min(4, block_threads / made.columns)));
    made.in_rows = (made.rows - 1) * s.stride_height + (s.kernel_height - 1) * s.dilation_height + 1;
    made.pitch = made.kernel_width == 0 ? made.width : up(made.width, 4);
    made.inputs.pitch = up((made.pitch - 1) * s.stride_width + (s.kernel_width - 1) * s.dilation_width + 1, 4);
    if (made.inputs.pitch % 8 == 0) made.inputs.pitch += 4;  // neighbouring threads read neighbouring rows: from other banks
    return Index{made.channels} * made.in_rows * made.inputs.pitch + Index{made.rows} * made.pitch * made.filters * made.thread_filters;
  };
  // Rows first: whole rows are read fastest.
  while (lay_out() > wanted_floats && (made.rows > least_rows   ? shrink(made.rows)
                                       : made.width > warp_size ? shrink(made.width)
                                                                : shrink(made.channels) || shrink(made.rows) || shrink(made.width))) {
  }
  const int tiles_of_weights = s.groups * parts(filters, made.filters) * parts(s.group_channels, made.channels) * made.column_tiles;
  const auto units = [&] { return images * parts(s.out_height, made.rows) * parts(s.out_width, made.width); };
  while (units() * tiles_of_weights < enough_blocks && made.rows > least_rows) shrink(made.rows);
  made.rows = even(s.out_height, made.rows), made.width = even(s.out_width, made.width);
  const Index floats = lay_out();
  if (floats + 4 > most_floats) {
    refusal = "wanted a pixel and its taps in " + std::to_string(most_shared_bytes) + " bytes, got " +
              std::to_string((floats + 4) * static_cast<Index>(sizeof(float)));
    return made;
  }
  made.filter_tiles = parts(filters, made.filters), made.channel_tiles = parts(s.group_channels, made.channels);
  made.row_tiles = parts(s.out_height, made.rows), made.width_tiles = parts(s.out_width, made.width);
  made.units = narrow(units());
  made.chunk_units = std::max(1, parts(made.units, std::max(1, enough_blocks / tiles_of_weights)));
  made.chunks = parts(made.units, made.chunk_units);

  const int together = made.filters * made.columns, shares = made.kernel_width == 0 ? made.width : made.rows * made.pitch / 4;
  while (made.splits < 16 && made.splits * 2 <= shares && made.splits * 2 * together <= most_threads_together) made.splits *= 2;
  made.threads = up(std::max(together * made.splits, small_block_threads), warp_size);
  made.inputs = stage_planes(1, made.channels, made.in_rows, made.inputs.pitch, made.threads);
  made.pixels = counting(made.pitch, made.rows, made.threads);
  made.quads = counting(std::max(1, made.pitch / 4), made.rows, made.splits);
  made.input_floats = made.inputs.rows * made.inputs.pitch;
  // Afterwards the same memory holds the sums of half of the splits, and then those of y.
  made.shared_floats = std::max({narrow(floats), made.splits / 2 * together * made.thread_filters * thread_taps, made.threads});
  return made;
}

Grid ConvWeightTiling::grid(int groups) const {
  return {Index{groups} * filter_tiles * channel_tiles * column_tiles * chunks, threads, shared_floats * static_cast<int>(sizeof(float))};
}

}  // namespace wengert::cuda
