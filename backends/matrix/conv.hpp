// Rung 2 of the convolution, the report's "normal" one: one matrix product per filter tap, no unrolled copy of the input.
//
// y = sum over taps (r,s) of w[r,s] (K x C) times x shifted by (r,s) (C x pixels). The filters are repacked to [r,s,K,C] once a
// call. At stride 1 the shifted input is x itself at an offset: the product runs over whole rows of the (padded) input, and the
// few columns between the rows of y come out as waste that is left behind. At any other stride one tap is gathered at a time.
//   wengert bench conv --kernel matrix --shape 64,8,24,24,8,5,5 [--direction forward|data|weight]
#pragma once

#include <wengert/backends/geometry.hpp>
#include <wengert/engine/view.hpp>

namespace wengert::matrix {

// Takes every geometry. The operands are those of ConvGeometry: x (N,C,H,W), w (K,C/groups,KH,KW), y (N,K,OH,OW), all of one
// dtype; the last view is overwritten. An empty batch leaves nothing to write, except zeros to w. Each image is computed alike
// whatever its place in the batch. Zeros of the padding, and of the columns between rows, are multiplied: beside an
// infinity or a NaN, neighbours may become NaN that the naive kernel spares. workspace: conv2d_workspace() bytes, 64-byte aligned.
void conv2d(const ConvGeometry& g, const View& x, const View& w, const View& y, void* workspace);
void conv2d_data(const ConvGeometry& g, const View& y, const View& w, const View& x, void* workspace);
void conv2d_weight(const ConvGeometry& g, const View& x, const View& y, const View& w, void* workspace);

// Bytes, enough for each of the three directions.
Index conv2d_workspace(const ConvGeometry& g, Index batch, DType dtype);

}  // namespace wengert::matrix
