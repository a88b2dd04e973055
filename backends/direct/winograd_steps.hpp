// The vector steps of a Winograd convolution, from rows of the input to rows of the output. Private to backends/direct/winograd*.cpp.
#pragma once

#include <cstdint>

#include <wengert/engine/types.hpp>

namespace wengert::direct {

// Values of a row of tiles lie as (tile, 8 channels), `floats` in all. `points` is n = m + r - 1, the side of an input tile.
struct WinogradRow {
  Index floats;
  Index in_planes, out_planes;      // of 8 channels
  const float* const* transformed;  // its n input rows, each (n, in_planes, floats), transformed along the row
  const float* w;                   // pack()ed
  float* v;                         // (n, in_planes, floats)
  float* product;                   // (n, floats)
  float* out;                       // (out_planes, n, m, floats): transformed back along the columns
};

// The way out for one plane of 8 channels of a WinogradRow.
struct WinogradFinish {
  const float* in;  // (n, m, floats)
  Index floats;
  const float* bias;  // 8
  const float* mask;  // 8: all bits set where a lane is a filter
  const float* keep;  // m rows of m * tiles windows, `keep_pitch` apart: 1, or 0 where a window holds only zeros
  Index keep_pitch;
  float floor;  // 0 for ReLU, else -infinity
  float* out;   // m rows of m * tiles pixels, `pitch` floats apart; of a pool half as many of both
  Index pitch;
  std::int32_t* positions;  // of a pool, or null
  Index row, width;         // of a pool: the first row and the width of what it pools
};

// An image of 8 channels a plane.
struct WinogradPlanes {
  const float* in;
  Index planes, height, width;
};

// A row of pixels on the way to what of a row of windows is not zero. Whole blocks of 16 windows are written and read.
struct WinogradMarks {
  const float* in;
  Index pixels, planes, plane_pitch;
  Index before;         // pixels of padding to the left
  std::uint8_t* marks;  // of padded pixels; the padding's are 0 already
  std::uint8_t* out;    // (windows): 0 where the r pixels from there on are zero in all channels
  Index windows;
};

// Functions of one tile size, of the target that was current when they were picked.
struct WinogradSteps {
  // Filters as multiply-adds read them, from plain w (filters, channels, r, r), or from that of the gradient of x: with filters and channels
  // in each other's place, and every tap at the other end.
  void (*pack)(const float* w, Index channels, Index filters, bool data, float* packed);
  // A row of pixels (8 channels) to n rows of points, `pitch` apart.
  void (*transform)(const float* in, Index floats, float* out, Index pitch);
  void (*row)(const WinogradRow& row);
  bool (*none_zero)(const WinogradPlanes& image);  // sees some pixels: no window without padding holds only zeros, where it says so
  void (*mark)(const WinogradMarks& row);
  // `keep` of a WinogradFinish, from the marks of n rows.
  void (*keep)(const std::uint8_t* const* rows, Index windows, float* keep, Index pitch);
  void (*finish)(const WinogradFinish& finish);
  void (*pool)(const WinogradFinish& finish);  // maxima of 2x2 results
};
// For tiles of m and filters of r taps: m 2 or 4, r 3 or 5.
WinogradSteps winograd_steps(Index m, Index taps);

}  // namespace wengert::direct
