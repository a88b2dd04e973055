// The convolution triple conv2d, conv2d_data, conv2d_weight: T(x,w,y) = sum y[n,k,o] x[n,c,o*stride-pad+r*dilation] w[k,c,r].
// "Convolution" is cross-correlation, as everywhere in this field.
#pragma once

#include <vector>

#include <wengert/backends/geometry.hpp>
#include <wengert/engine/tape.hpp>
#include <wengert/ops/plane_options.hpp>

namespace wengert {

struct Conv2dOptions {
  Extent2d stride = 1;
  Extent2d dilation = 1;
  Padding2d padding = {};
  Index groups = 1;
};

// The geometry for x (N,C,H,W) and w (K,C/groups,KH,KW). Throws Error("wanted ..., got ..."): ranks, channels that do not fit,
// sizes below 1 or above 2^31, a filter larger than the padded input.
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
