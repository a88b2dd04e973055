// The convolution triple conv2d, conv2d_data, conv2d_weight: T(x,w,y) = sum y[n,k,o] x[n,c,o*stride-pad+r*dilation] w[k,c,r].
// "Convolution" is cross-correlation, as everywhere in this field.
#pragma once

#include <vector>

#include <wengert/backends/geometry.hpp>
#include <wengert/engine/tape.hpp>

namespace wengert {

// Height and width; one number means both.
struct Extent2d {
  Index height, width;
  Extent2d(Index both) : height(both), width(both) {}  // implicit, so that {.stride = 2} reads well
  Extent2d(Index rows, Index columns) : height(rows), width(columns) {}
};

struct Padding2d {
  enum class Kind : std::uint8_t {
    valid,  // none
    same,   // ceil(size / stride) outputs, the odd zero at the end
    full,   // dilation * (kernel - 1) zeros on every side
    sides   // as given
  };
  Kind kind = Kind::valid;
  Index top = 0, bottom = 0, left = 0, right = 0;

  static Padding2d valid() { return {}; }
  static Padding2d same() { return {Kind::same}; }
  static Padding2d full() { return {Kind::full}; }
  static Padding2d sides(Index top, Index bottom, Index left, Index right) { return {Kind::sides, top, bottom, left, right}; }
};

struct Conv2dOptions {
  Extent2d stride = 1;
  Extent2d dilation = 1;
  Padding2d padding = {};
  Index groups = 1;
};

// The geometry for x (N,C,H,W) and w (K,C/groups,KH,KW). Throws Error("wanted ..., got ..."): ranks, channels that do not fit,
// sizes below 1, a filter larger than the padded input.
ConvGeometry resolve(const Conv2dOptions& options, const Shape& x, const Shape& w);

// x (N,C,H,W), w (K,C/groups,KH,KW) -> y (N,K,OH,OW).
Var conv2d(const At& x, const Var& w, const Conv2dOptions& options = {});
// The same on resolved geometry, and its two partners. The derivative of each is given by one rule: put the cotangent in the
// role that the op produced; the gradient of any other role is the op that produces that role.
Var conv2d(const At& x, const Var& w, const ConvGeometry& geometry);
Var conv2d_data(const At& y, const Var& w, const ConvGeometry& geometry);    // -> x
Var conv2d_weight(const At& x, const Var& y, const ConvGeometry& geometry);  // -> w

std::vector<Op> conv_ops();

struct ConvAttributes {
  ConvGeometry geometry;
  std::string describe() const { return geometry.describe(); }
};

}  // namespace wengert
