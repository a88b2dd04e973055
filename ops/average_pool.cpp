#include <wengert/ops/average_pool.hpp>

#include <wengert/backends/naive/pool.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/ops/direct_kernels.hpp>
#include <wengert/ops/reduce.hpp>
#include <wengert/ops/support.hpp>

namespace wengert {

namespace {

const PoolGeometry& geometry(const Attributes& attributes) { return attributes.as<PoolAttributes>().geometry; }

struct PoolCase {
  PoolGeometry geometry;
  Index images;
};

// Overlap, padding left out and counted, stride above the window, one pixel, no images.
std::vector<PoolCase> sample_cases() {
  const auto make = [](const Shape& x, const Pool2dOptions& options) { return PoolCase{resolve(options, x), x[0]}; };
  const Padding2d sides = Padding2d::sides(1, 2, 0, 1);
  return {make({9, 2, 4, 6}, {2, 0, {}, false}),
          make({5, 1, 7, 5}, {{3, 2}, {2, 1}, sides, false}),
          make({5, 3, 7, 5}, {3, 2, Padding2d::same(), true}),
          make({9, 1, 8, 7}, {2, 3, {}, false}),
          make({2, 2, 1, 1}, {1, 1, {}, false}),
          make({0, 2, 4, 4}, {2, 0, {}, false})};
}

Op make_average_pool2d() {
  Op op;
  op.name = "average_pool2d";
  op.summary = "the mean of each window";
  op.smoothness = Op::Smoothness::multilinear;
  op.shapes = [](const OpQuery& query) {
    const PoolGeometry& g = geometry(query.attributes);
    want_float(query, 0);
    want_pool_input(g, query.shape(0));
    return std::vector<Spec>{{Shape{query.shape(0)[0], g.channels, g.out_height, g.out_width}, query.dtype(0)}};
  };
  op.vjp = [](const VjpCall& call) { return std::vector<Var>{average_pool2d_data(call.cotangent(), geometry(call.attributes()))}; };
  op.batch = [](const BatchQuery&) { return BatchEffect::per_image(); };
  op.kernels = {
      naive_kernel([](const KernelCall& call) { naive::average_pool2d(geometry(call.attributes), call.input(0), call.output(0)); })};
  op.samples = [] {
    std::vector<Sample> samples;
    for (const PoolCase& c : sample_cases()) {
      samples.push_back(
          {PoolAttributes{c.geometry}, {sample_images({c.images, c.geometry.channels, c.geometry.height, c.geometry.width})}});
    }
    return samples;
  };
  return op;
}

Var pool(const At& x, const PoolGeometry& g);

Op make_average_pool2d_data() {
  Op op;
  op.name = "average_pool2d_data";
  op.summary = "each window's value shared out evenly: the adjoint of average_pool2d";
  op.smoothness = Op::Smoothness::multilinear;
  op.shapes = [](const OpQuery& query) {
    const PoolGeometry& g = geometry(query.attributes);
    want_float(query, 0);
    want_pool_output(g, query.shape(0));
    return std::vector<Spec>{{Shape{query.shape(0)[0], g.channels, g.height, g.width}, query.dtype(0)}};
  };
  op.vjp = [](const VjpCall& call) { return std::vector<Var>{pool(call.cotangent(), geometry(call.attributes()))}; };
  op.batch = [](const BatchQuery&) { return BatchEffect::per_image(); };
  op.kernels = {
      naive_kernel([](const KernelCall& call) { naive::average_pool2d_data(geometry(call.attributes), call.input(0), call.output(0)); })};
  op.samples = [] {
    std::vector<Sample> samples;
    for (const PoolCase& c : sample_cases()) {
      samples.push_back(
          {PoolAttributes{c.geometry}, {sample_images({c.images, c.geometry.channels, c.geometry.out_height, c.geometry.out_width})}});
    }
    return samples;
  };
  return op;
}

const Op& average_pool2d_op() {
  static const Op op = with_kernel(make_average_pool2d(), direct_pool_kernel(direct_average_pool));
  return op;
}
const Op& average_pool2d_data_op() {
  static const Op op = with_kernel(make_average_pool2d_data(), direct_pool_kernel(direct_average_pool_data));
  return op;
}

Var pool(const At& x, const PoolGeometry& g) { return apply(average_pool2d_op(), PoolAttributes{g}, x); }

}  // namespace

Var average_pool2d(const At& x, const Pool2dOptions& options) {
  return pool(x, checked_at(x, "average_pool2d", [&] { return resolve(options, x.var.shape()); }));
}

Var average_pool2d_data(const At& y, const PoolGeometry& g) { return apply(average_pool2d_data_op(), PoolAttributes{g}, y); }

Var global_average_pool2d(const At& x) {
  if (x.var.shape().rank() != 4) fail_at(x, "global_average_pool2d", "wanted x (N,C,H,W), got " + x.var.spec().text());
  return mean(x, {2, 3});
}

std::vector<Op> average_pool_ops() { return {average_pool2d_op(), average_pool2d_data_op()}; }

}  // namespace wengert
