// Rung 3 of the convolution, the report's "unrolled" one: patches of the input in a matrix, so that matrix products do the rest
// (Chellapilla, Puri, Simard 2006, inria-00112631), backward passes included.
//
// The input is unrolled along the width only: row (c,s) of the matrix holds, for every row of the input, the pixels that tap
// column s meets. Filter row r then finds its whole patch matrix in there as a window that starts r rows further down, because
// patches that lie one row apart overlap. This moves KH times less memory than the full unrolled copy (Cho and Brand 2017,
// "MEC") and leaves one product a filter row; at a vertical stride the rows are sorted by phase, so that a window stays one piece.
// Against the full copy and one product, 8x24x24 * 8x5x5 in f32 took 14 instead of 22 us an image on OpenBLAS's AVX-512 kernels
// and 22 instead of 32 on its AVX2 ones.
//   wengert bench conv --kernel im2col --shape 64,8,24,24,8,5,5 [--direction forward|data|weight]
#pragma once

#include <wengert/backends/geometry.hpp>
#include <wengert/engine/view.hpp>

namespace wengert::im2col {

// Takes every geometry. The operands are those of ConvGeometry: x (N,C,H,W), w (K,C/groups,KH,KW), y (N,K,OH,OW), all of one
// dtype; the last view is overwritten. An empty batch leaves nothing to write, except zeros to w. Each image is computed alike
// whatever its place in the batch. Zeros of the padding are multiplied: beside an infinity or a NaN, neighbours of the border
// may become NaN that the naive kernel spares. workspace: conv2d_workspace() bytes, 64-byte aligned.
void conv2d(const ConvGeometry& g, const View& x, const View& w, const View& y, void* workspace);
void conv2d_data(const ConvGeometry& g, const View& y, const View& w, const View& x, void* workspace);
void conv2d_weight(const ConvGeometry& g, const View& x, const View& y, const View& w, void* workspace);

// Bytes, enough for each of the three directions.
Index conv2d_workspace(const ConvGeometry& g, Index batch, DType dtype);

}  // namespace wengert::im2col
