#include <wengert/ops/max_pool.hpp>

#include <fmt/format.h>

#include <wengert/backends/naive/pool.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/ops/direct_kernels.hpp>
#include <wengert/ops/index.hpp>
#include <wengert/ops/support.hpp>

namespace wengert {

namespace {

constexpr int plane_axes = 2;  // N and C lead the planes that positions count in

Op make_max_pool2d() {
  Op op;
  op.name = "max_pool2d";
  op.summary = "maximum of each window, and its position in the plane";
  op.smoothness = Op::Smoothness::kinked;
  op.keeps.outputs = 0b10;
  op.shapes = [](const OpQuery& query) {
    want_float(query, 0);
    const PoolGeometry& g = query.attributes.as<PoolAttributes>().geometry;
    want_pool_input(g, query.shape(0));
    if (g.height * g.width > Index{INT32_MAX}) {  // positions are i32
      fail(fmt::format("wanted planes of at most 2^31 - 1 elements, got {}x{}", g.height, g.width));
    }
    const Shape y{query.shape(0)[0], g.channels, g.out_height, g.out_width};
    return std::vector<Spec>{{y, query.dtype(0)}, {y, DType::i32}};
  };
  op.vjp = [](const VjpCall& call) {
    return std::vector<Var>{call.cotangent() ? put_along(call.cotangent(), call.output(1), plane_axes, call.input_shape(0)) : Var()};
  };
  op.batch = [](const BatchQuery&) { return BatchEffect::per_image(); };
  op.kernels = {naive_kernel([](const KernelCall& call) {
    naive::max_pool2d(call.attributes.as<PoolAttributes>().geometry, call.input(0), call.output(0), call.output(1));
  })};
  op.samples = [] {
    const auto sample = [](const Shape& x, const Pool2dOptions& options) {
      return Sample{PoolAttributes{resolve(options, x)}, {sample_images(x, SampleInput::Fill::distinct)}};
    };
    return std::vector<Sample>{sample({9, 2, 4, 4}, {.window = 2}),
                               sample({1, 1, 1, 1}, {.window = 1}),
                               sample({2, 3, 7, 5}, {.window = 3, .stride = 2, .padding = Padding2d::sides(1, 1, 0, 1)}),
                               sample({5, 2, 6, 7}, {.window = {2, 3}, .stride = {1, 2}}),
                               sample({3, 1, 5, 5}, {.window = 2, .padding = Padding2d::same()}),
                               sample({2, 1, 7, 7}, {.window = 2, .stride = 3}),
                               sample({0, 2, 4, 4}, {.window = 2})};
  };
  return op;
}

const Op& max_pool2d_op() {
  static const Op op = with_kernel(make_max_pool2d(), direct_pool_kernel(direct_max_pool, 2));
  return op;
}

}  // namespace

MaxPool max_pool2d_with_positions(const At& x, const Pool2dOptions& options) {
  const PoolGeometry geometry = checked_at(x, "max_pool2d", [&] { return resolve(options, x.var.shape()); });
  const auto outputs = apply(max_pool2d_op(), PoolAttributes{geometry}, {x.var}, {x.site, x.name, x.choice, nullptr});
  return {outputs[0], outputs[1]};
}

Var max_pool2d(const At& x, const Pool2dOptions& options) { return max_pool2d_with_positions(x, options).y; }

std::vector<Op> max_pool_ops() { return {max_pool2d_op()}; }

}  // namespace wengert
