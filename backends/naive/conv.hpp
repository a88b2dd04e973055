// Rung 1 of the convolution: the plain seven loops, the reference that every other kernel is held against.
//
// Honest but plain: one accumulator in a register, the taps that touch the padding cut off before the inner loops, sums in a
// fixed order, no intrinsics. Any stride, dilation, padding and groups; f32 and f64, each summed in its own type.
//   wengert bench conv --kernel naive --shape 64,8,24,24,8,5,5 [--direction forward|data|weight]
#pragma once

#include <wengert/backends/geometry.hpp>
#include <wengert/engine/view.hpp>

namespace wengert::naive {

// The operands are those of ConvGeometry: x (N,C,H,W), w (K,C/groups,KH,KW), y (N,K,OH,OW), all of one dtype. The last
// argument is overwritten. An empty batch leaves nothing to write, except zeros to w.
void conv2d(const ConvGeometry& g, const View& x, const View& w, const View& y);
void conv2d_data(const ConvGeometry& g, const View& y, const View& w, const View& x);
void conv2d_weight(const ConvGeometry& g, const View& x, const View& y, const View& w);

}  // namespace wengert::naive
