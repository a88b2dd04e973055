// Which taps, inputs and outputs of a convolution meet along one axis, so that kernels need no bounds checks in their loops.
#pragma once

#include <algorithm>
#include <numeric>

#include <wengert/backends/geometry.hpp>

namespace wengert {

// One axis of a convolution: output o meets input o*stride - pad + tap*dilation.
struct ConvAxis {
  Index in, kernel, out, stride, dilation, pad;

  // Positions of the padded input that the outputs read.
  Index reach() const { return out == 0 ? 0 : (out - 1) * stride + (kernel - 1) * dilation + 1; }
};

inline ConvAxis vertical(const ConvGeometry& g) {
  return {g.height, g.kernel_height, g.out_height, g.stride_height, g.dilation_height, g.pad_top};
}
inline ConvAxis horizontal(const ConvGeometry& g) {
  return {g.width, g.kernel_width, g.out_width, g.stride_width, g.dilation_width, g.pad_left};
}

// `count` pairs that meet: pair i joins first + i*step with partner + i*partner_step.
struct Meetings {
  Index first = 0, count = 0, step = 1;
  Index partner = 0, partner_step = 1;
};

// Positions 0 <= i < limit whose partner offset + i*step lies in [0, in), each with that partner.
inline Meetings meetings(Index limit, Index offset, Index step, Index in) {
  const Index low = offset >= 0 ? 0 : (-offset + step - 1) / step;
  const Index high = offset >= in ? 0 : std::min(limit, (in - 1 - offset) / step + 1);
  if (high <= low) return {};
  return {low, high - low, 1, low * step + offset, step};
}

// The outputs that tap `tap` serves without touching the padding, each with its input.
inline Meetings outputs_of_tap(const ConvAxis& axis, Index tap) {
  return meetings(axis.out, tap * axis.dilation - axis.pad, axis.stride, axis.in);
}

// The taps through which output `out` reads the input, each with that input.
inline Meetings taps_of_output(const ConvAxis& axis, Index out) {
  return meetings(axis.kernel, out * axis.stride - axis.pad, axis.dilation, axis.in);
}

// The taps through which input `in` is read, each with the output that reads it. The outputs fall as the taps rise.
inline Meetings taps_of_input(const ConvAxis& axis, Index in) {
  const Index common = std::gcd(axis.stride, axis.dilation);
  const Index tap_step = axis.stride / common, out_step = axis.dilation / common;
  const Index padded = in + axis.pad;
  Index tap = 0;  // the first whose distance to the input is a multiple of the stride; they repeat every tap_step
  while (tap < tap_step && (padded - tap * axis.dilation) % axis.stride != 0) ++tap;
  if (tap == tap_step) return {};
  Index out = (padded - tap * axis.dilation) / axis.stride;
  if (out >= axis.out) {
    const Index skipped = (out - axis.out) / out_step + 1;
    tap += skipped * tap_step;
    out -= skipped * out_step;
  }
  if (tap >= axis.kernel || out < 0) return {};
  const Index count = std::min((axis.kernel - 1 - tap) / tap_step, out / out_step) + 1;
  return {tap, count, tap_step, out, -out_step};
}

}  // namespace wengert
