#include <wengert/ops/conv.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <wengert/backends/im2col/conv.hpp>
#include <wengert/backends/matrix/conv.hpp>
#include <wengert/backends/naive/conv.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/ops/direct_kernels.hpp>
#include <wengert/ops/support.hpp>

namespace wengert {

namespace {

Index resolve_outputs(const char* axis, Index size, Sides padding, Index kernel, Index stride, Index dilation) {
  const Index padded = size + padding.before + padding.after;
  const Index reach = dilation * (kernel - 1) + 1;
  if (reach > padded) {
    fail(fmt::format("wanted a filter no larger than the padded input, got {} {} on {} (padding {} + {})", axis, reach, padded,
                     padding.before, padding.after));
  }
  return (padded - reach) / stride + 1;
}

Shape x_shape(const ConvGeometry& g, Index n) { return {n, g.channels, g.height, g.width}; }
Shape w_shape(const ConvGeometry& g) { return {g.filters, g.group_channels(), g.kernel_height, g.kernel_width}; }
Shape y_shape(const ConvGeometry& g, Index n) { return {n, g.filters, g.out_height, g.out_width}; }

void want_role(const char* role, const Shape& got, const Shape& wanted) {
  if (got.rank() != 4) fail(fmt::format("wanted {} of rank 4, got {}", role, got.text()));
  if (got != wanted) fail(fmt::format("wanted {} {}, got {}", role, wanted.text(), got.text()));
}

Index images(const Shape& shape) { return shape.rank() == 4 ? shape[0] : 0; }

// The three roles; an op takes two and produces the third.
enum class Role : std::uint8_t { x, w, y };

const char* op_name(Role produced) { return produced == Role::y ? "conv2d" : produced == Role::x ? "conv2d_data" : "conv2d_weight"; }

// Inputs in the order of the public functions.
std::array<Role, 2> inputs_of(Role produced) {
  switch (produced) {
    case Role::y: return {Role::x, Role::w};
    case Role::x: return {Role::y, Role::w};
    default: return {Role::x, Role::y};
  }
}

Shape role_shape(Role role, const ConvGeometry& g, Index n) {
  return role == Role::x ? x_shape(g, n) : role == Role::w ? w_shape(g) : y_shape(g, n);
}

Var produce(Role role, const Var& x, const Var& w, const Var& y, const ConvGeometry& g) {
  switch (role) {
    case Role::y: return conv2d(x, w, g);
    case Role::x: return conv2d_data(y, w, g);
    default: return conv2d_weight(x, y, g);
  }
}

template <Role produced>
std::vector<Spec> conv_shapes(const OpQuery& query) {
  constexpr const char* names[] = {"x", "w", "y"};
  want_float(query, 0);
  want_same_dtype(query, 0, 1);
  const ConvGeometry& g = query.attributes.as<ConvAttributes>().geometry;
  const auto roles = inputs_of(produced);
  const Index n = images(query.shape(0));
  for (int i = 0; i < 2; ++i) {
    const Role role = roles[static_cast<std::size_t>(i)];
    want_role(names[static_cast<std::size_t>(role)], query.shape(i), role_shape(role, g, n));
  }
  return {{role_shape(produced, g, n), query.dtype(0)}};
}

template <Role produced>
std::vector<Var> conv_vjp(const VjpCall& call) {
  const ConvGeometry& g = call.as<ConvAttributes>().geometry;
  const auto roles = inputs_of(produced);
  std::array<Var, 3> values;
  values[static_cast<std::size_t>(produced)] = call.cotangent();
  for (int i = 0; i < 2; ++i) values[static_cast<std::size_t>(roles[static_cast<std::size_t>(i)])] = call.input(i);
  std::vector<Var> gradients(2);
  for (int i = 0; i < 2; ++i) {
    if (call.wanted(i))
      gradients[static_cast<std::size_t>(i)] = produce(roles[static_cast<std::size_t>(i)], values[0], values[1], values[2], g);
  }
  return gradients;
}

template <Role produced>
BatchEffect conv_batch(const BatchQuery& query) {
  if constexpr (produced == Role::w) {
    return query.batched == 0b11 ? BatchEffect::sums() : BatchEffect::mixes();
  } else {
    return query.batched == 0b01 ? BatchEffect::per_image() : BatchEffect::mixes();
  }
}

using PlainConv = void (*)(const ConvGeometry&, const View&, const View&, const View&);
using WorkspaceConv = void (*)(const ConvGeometry&, const View&, const View&, const View&, void*);

template <PlainConv run>
Kernel plain_kernel() {
  Kernel kernel;
  kernel.run = [](const KernelCall& call) {
    run(call.attributes.as<ConvAttributes>().geometry, call.input(0), call.input(1), call.output(0));
  };
  return kernel;
}

template <WorkspaceConv run, Index (*bytes)(const ConvGeometry&, Index, DType)>
Kernel workspace_kernel(const char* backend) {
  Kernel kernel;
  kernel.backend = backend;
  kernel.run = [](const KernelCall& call) {
    run(call.attributes.as<ConvAttributes>().geometry, call.input(0), call.input(1), call.output(0), call.workspace);
  };
  kernel.workspace = [](const OpQuery& query) {
    return bytes(query.attributes.as<ConvAttributes>().geometry, images(query.shape(0)), query.dtype(0));
  };
  return kernel;
}

// Geometries that between them have every attribute: strides, dilations, groups, asymmetric and no padding, odd and unit sizes.
std::vector<std::pair<ConvGeometry, Index>> sample_geometries() {
  struct Case {
    Index n;
    Shape x, w;  // without and with the batch axis' place: (C,H,W) and (K,C/groups,KH,KW)
    Conv2dOptions options;
  };
  const std::vector<Case> cases = {
      {1, {1, 4, 4}, {1, 1, 3, 3}, {}},
      {9, {2, 6, 7}, {3, 2, 3, 2}, {}},
      {5, {3, 7, 5}, {4, 3, 3, 3}, {1, 1, Padding2d::same()}},
      {2, {2, 4, 3}, {2, 2, 3, 2}, {1, 1, Padding2d::full()}},
      {5, {4, 9, 8}, {6, 2, 3, 3}, {{2, 3}, 1, Padding2d::sides(1, 0, 2, 1), 2}},
      {3, {3, 9, 11}, {3, 1, 2, 3}, {{1, 2}, {2, 1}, Padding2d::sides(0, 2, 1, 0), 3}},
      {2, {2, 7, 7}, {2, 2, 1, 1}, {{3, 2}}},
      {6, {2, 3, 3}, {4, 2, 3, 3}, {}},
      {2, {1, 5, 5}, {2, 1, 2, 2}, {4, 1, Padding2d::sides(0, 0, 3, 3)}},
      {0, {2, 4, 4}, {3, 2, 3, 3}, {}},
      {3, {8, 8, 9}, {8, 8, 3, 3}, {1, 1, Padding2d::same()}},  // large enough for Winograd's algorithm
      {2, {8, 12, 13}, {9, 8, 5, 5}, {}},
  };
  std::vector<std::pair<ConvGeometry, Index>> result;
  for (const Case& c : cases) result.emplace_back(resolve(c.options, Shape{c.n, c.x[0], c.x[1], c.x[2]}, c.w), c.n);
  return result;
}

template <Role produced>
Op make_conv(const char* summary, std::vector<Kernel> kernels) {
  Op op;
  op.name = op_name(produced);
  op.summary = summary;
  op.min_inputs = op.max_inputs = 2;
  op.smoothness = Op::Smoothness::multilinear;
  op.keeps.inputs = 0b11;
  op.shapes = conv_shapes<produced>;
  op.vjp = conv_vjp<produced>;
  op.batch = conv_batch<produced>;
  op.flops = [](const OpQuery& query) { return query.attributes.as<ConvAttributes>().geometry.flops(query.shape(0)[0]); };
  op.kernels = std::move(kernels);
  op.samples = [] {
    std::vector<Sample> samples;
    for (const auto& [g, n] : sample_geometries()) {
      Sample sample{ConvAttributes{g}, {}};
      for (const Role role : inputs_of(produced)) {
        sample.inputs.push_back(role == Role::w ? sample_value(w_shape(g)) : sample_images(role_shape(role, g, n)));
      }
      samples.push_back(std::move(sample));
    }
    return samples;
  };
  return op;
}

FusedConv plain_conv(const Attributes& attributes) {
  FusedConv conv;
  conv.geometry = attributes.as<ConvAttributes>().geometry;
  return conv;
}

const Op& conv2d_op() {
  static const Op op =
      make_conv<Role::y>("convolution (cross-correlation) of x with w",
                         {plain_kernel<naive::conv2d>(), workspace_kernel<matrix::conv2d, matrix::conv2d_workspace>("matrix"),
                          workspace_kernel<im2col::conv2d, im2col::conv2d_workspace>("im2col"),
                          direct_conv_kernel(ConvRole::forward, plain_conv), winograd_conv_kernel(ConvRole::forward, plain_conv)});
  return op;
}

const Op& conv2d_data_op() {
  static const Op op =
      make_conv<Role::x>("y convolved fully with the flipped w: the gradient of conv2d by x",
                         {plain_kernel<naive::conv2d_data>(), workspace_kernel<matrix::conv2d_data, matrix::conv2d_workspace>("matrix"),
                          workspace_kernel<im2col::conv2d_data, im2col::conv2d_workspace>("im2col"),
                          direct_conv_kernel(ConvRole::data, plain_conv), winograd_conv_kernel(ConvRole::data, plain_conv)});
  return op;
}

const Op& conv2d_weight_op() {
  static const Op op = make_conv<Role::w>(
      "x convolved with y, summed over images: the gradient of conv2d by w",
      {plain_kernel<naive::conv2d_weight>(), workspace_kernel<matrix::conv2d_weight, matrix::conv2d_workspace>("matrix"),
       workspace_kernel<im2col::conv2d_weight, im2col::conv2d_workspace>("im2col"), direct_conv_kernel(ConvRole::weight, plain_conv)});
  return op;
}

}  // namespace

ConvGeometry resolve(const Conv2dOptions& o, const Shape& x, const Shape& w) {
  if (x.rank() != 4 || w.rank() != 4) fail("wanted x (N,C,H,W) and w (K,C/groups,KH,KW), got " + x.text() + " and " + w.text());
  if (o.stride.height < 1 || o.stride.width < 1 || o.dilation.height < 1 || o.dilation.width < 1 || o.groups < 1) {
    fail(fmt::format("wanted stride, dilation and groups of at least 1, got {}x{}, {}x{} and {}", o.stride.height, o.stride.width,
                     o.dilation.height, o.dilation.width, o.groups));
  }
  if (std::min({o.padding.top, o.padding.bottom, o.padding.left, o.padding.right}) < 0) fail("wanted padding of 0 or more");
  if (w[2] < 1 || w[3] < 1 || w[0] < 1 || x[1] < 1)
    fail("wanted at least one channel, filter and tap, got " + x.text() + " and " + w.text());
  if (x[1] % o.groups != 0 || w[0] % o.groups != 0) {
    fail(fmt::format("wanted channels and filters that divide into {} groups, got {} and {}", o.groups, x[1], w[0]));
  }
  constexpr Index largest = Index{1} << 31;  // so that no sum or product below overflows
  const Padding2d& p = o.padding;
  if (std::max({x[2], x[3], w[2], w[3], p.top, p.bottom, p.left, p.right}) > largest ||
      std::max({o.stride.height, o.stride.width, o.dilation.height, o.dilation.width}) > largest ||
      std::max(o.dilation.height * (w[2] - 1), o.dilation.width * (w[3] - 1)) > largest) {
    fail("wanted sizes, stride, padding and reach of the dilated filter of at most 2^31, got w " + w.text() + " on x " + x.text());
  }
  if (w[1] != x[1] / o.groups) {
    fail(fmt::format("wanted input (N,{},H,W), got {}", w[1] * o.groups, x.text()));
  }
  ConvGeometry g;
  g.channels = x[1], g.height = x[2], g.width = x[3];
  g.filters = w[0], g.kernel_height = w[2], g.kernel_width = w[3];
  g.stride_height = o.stride.height, g.stride_width = o.stride.width;
  g.dilation_height = o.dilation.height, g.dilation_width = o.dilation.width;
  g.groups = o.groups;
  const Sides rows =
      resolve_padding(o.padding.kind, {o.padding.top, o.padding.bottom}, g.height, g.kernel_height, g.stride_height, g.dilation_height);
  const Sides columns =
      resolve_padding(o.padding.kind, {o.padding.left, o.padding.right}, g.width, g.kernel_width, g.stride_width, g.dilation_width);
  g.pad_top = rows.before, g.pad_bottom = rows.after, g.pad_left = columns.before, g.pad_right = columns.after;
  g.out_height = resolve_outputs("height", g.height, rows, g.kernel_height, g.stride_height, g.dilation_height);
  g.out_width = resolve_outputs("width", g.width, columns, g.kernel_width, g.stride_width, g.dilation_width);
  return g;
}

Var conv2d(const At& x, const Var& w, const Conv2dOptions& options) {
  return conv2d(x, w, checked_at(x, "conv2d", [&] { return resolve(options, x.var.shape(), w.shape()); }));
}

Var conv2d(const At& x, const Var& w, const ConvGeometry& geometry) { return apply(conv2d_op(), ConvAttributes{geometry}, x, {w}); }
Var conv2d_data(const At& y, const Var& w, const ConvGeometry& geometry) {
  return apply(conv2d_data_op(), ConvAttributes{geometry}, y, {w});
}
Var conv2d_weight(const At& x, const Var& y, const ConvGeometry& geometry) {
  return apply(conv2d_weight_op(), ConvAttributes{geometry}, x, {y});
}

std::vector<Op> conv_ops() { return {conv2d_op(), conv2d_data_op(), conv2d_weight_op()}; }

}  // namespace wengert
