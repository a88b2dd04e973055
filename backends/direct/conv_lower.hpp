// How a convolution becomes calls of register tiles: padded input, runs of filter taps, groups of filters, tiles of a row.
// Private to backends/direct/conv*.cpp.
#pragma once

#include <cstdint>
#include <vector>

#include <wengert/backends/geometry.hpp>

namespace wengert::direct {

inline constexpr Index plane_channels = 8;  // of nhwc8
inline Index planes_of(Index channels) { return (channels + plane_channels - 1) / plane_channels; }

// How the lanes of a vector serve: as filters; or, where 16 lanes meet 8 filters, even and odd lanes for even and odd input
// channels, or for two output rows (planar input, whose pixels then lie beside those one stride below).
enum class LaneUse : std::uint8_t { plain, channel_pairs, row_pairs };

// One image as the tiles read it: planes of 8 channels (or of one: planar), with zero borders, its columns split by
// their phase in the horizontal stride, so that neighbouring outputs read neighbouring pixels. Read in place where that already is so.
struct TileInput {
  Index channels = 0, height = 0, width = 0;
  bool planar = false, row_pairs = false;
  Index stride_height = 1, stride_width = 1, top = 0, left = 0;
  Index row_phases = 1, column_phases = 1;  // of the strides' phases the first so many are read
  bool copied = false, bordered = false;
  Index pixel = plane_channels;  // floats between the neighbours in a row
  Index rows = 0, columns = 0;   // of the copy; columns of one phase
  Index pitch = 0, plane = 0;    // floats between rows and between planes

  // The smallest image that holds `rows` x `columns` of the padded input.
  void fit(Index rows, Index columns);
  Index planes() const { return planar ? channels : planes_of(channels); }
  Index image_floats() const { return planes() * height * width * (planar ? 1 : plane_channels); }
  Index buffer_floats() const;  // 0 where the image is read in place
  // Where (row, column) of the padded input lies in a plane.
  Index at(Index row, Index column) const { return row * pitch + (column % stride_width * columns + column / stride_width) * pixel; }
  void clear(float* buffer) const;  // the borders, which are never written again
  void gather(const float* image, float* buffer, Index first_row, Index last_row) const;
  void scatter(const float* buffer, float* image) const;  // the inside of the buffer back (blocks, without phases)
};

// `count` taps of a run over `channels` input channels of a plane.
struct Segment {
  std::int32_t offset = 0, channels = 0;
};

// Output planes of 8 channels, `plane` floats apart; `out` points at the tile's first pixel and filter.
struct TileCall {
  const float* in;
  const Segment *first, *last;
  const float* w;
  const float* bias;  // a vector for each of the tile's
  const float* mask;  // the same, all bits set where a lane is a filter
  float* out;
  Index plane, pixel, row;  // floats between output planes, pixels, rows
  float floor;              // 0 for ReLU, else -infinity
  bool second, more;        // row_pairs: the second row exists; add to what out holds instead of the bias
};
using TileFunction = void (*)(const TileCall&);

struct TileKind {
  Index taps = 1, pixels = 1, vectors = 1;
  LaneUse use = LaneUse::plain;
  Index in_pixel = plane_channels;
};

// The tiles that a target has.
struct TileSet {
  Index lanes;
  TileFunction (*pick)(const TileKind& kind);  // null where the registers do not suffice
};
TileSet tile_set();                                   // of target()
TileFunction pick_planar_tile(const TileKind& kind);  // those for planar input, compiled apart

struct PlacedTile {
  Index column;
  TileFunction run;
};

// Runs of one width; later stages add to the output of the first.
struct Stage {
  std::vector<Segment> segments;  // by filter row
  Index segments_per_row = 0, first_weight = 0, weights_per_row = 0;
  std::vector<PlacedTile> tiles;
};

struct FilterGroup {
  Index first = 0, rows = 1;     // filter; output rows at a time
  Index vectors = 1, lanes = 0;  // lanes: offset of its bias and mask
  LaneUse use = LaneUse::plain;
  std::vector<Stage> stages;
};

// Output (j, i) reads the padded input at (j * stride + y, i * stride + x) through filter element (ky, kx).
struct Tap {
  Index y = 0, x = 0, ky = 0, kx = 0;
};

// Outputs (first_row + j * step, first_column + i * step) that are served by the same taps.
struct TilePass {
  Index first_row = 0, first_column = 0, out_height = 0, out_width = 0;
  std::vector<Tap> taps;
  Index first_tap = 0, tap_step = 1, tap_rows = 0;  // the filter rows in the padded input
  std::vector<FilterGroup> groups;
};

struct Lowered {
  TileInput in = {};
  Index filters = 0, out_height = 0, out_width = 0;  // of the output of this direction
  Index step_height = 1, step_width = 1;
  std::vector<TilePass> passes;
  std::vector<std::int32_t> source;  // of each packed weight in plain w; -1 for none
  std::vector<std::int32_t> filter_of_lane;
  Index out_plane() const { return out_height * out_width * plane_channels; }
};

// Runs of neighbouring taps in a row of one phase, cut to widths that there are tiles for, by filter row.
std::vector<std::vector<Tap>> tap_runs(const TilePass& pass, const TileInput& in);

// The input and the passes of a forward convolution; `separate_rows` where a row may not be seen as part of another shape.
Lowered shape_forward(const ConvGeometry& g, bool planar, bool separate_rows);
// Those of the gradient of x: a convolution of y for each phase of the strides, with the taps that reach it.
Lowered shape_data(const ConvGeometry& g);
// The same with groups of filters, tiles and weights, for one group.
Lowered lower_forward(const ConvGeometry& g, bool planar, bool separate_rows);
Lowered lower_data(const ConvGeometry& g);
// The input of `g`'s forward direction, with the phases of the strides or (for lists of positions) without.
TileInput input_of(const ConvGeometry& g, bool planar, bool phases);

}  // namespace wengert::direct
