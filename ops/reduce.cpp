#include <wengert/ops/reduce.hpp>

#include <fmt/format.h>

#include <wengert/backends/naive/reduce.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/strided.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/index.hpp>
#include <wengert/ops/shape.hpp>
#include <wengert/ops/support.hpp>

namespace wengert {

namespace {

using Fill = SampleInput::Fill;

ReduceAttributes over(std::initializer_list<int> axes, bool keep_dims = false) {
  ReduceAttributes attributes;
  attributes.keep_dims = keep_dims;
  for (const int axis : axes) attributes.axes.insert(axis);
  return attributes;
}

Op make_sum() {
  Op op;
  op.name = "sum";
  op.summary = "the sum over axes";
  op.smoothness = Op::Smoothness::multilinear;
  op.shapes = [](const OpQuery& query) {
    want_float(query, 0);
    return std::vector<Spec>{{query.attributes.as<ReduceAttributes>().result(query.shape(0)), query.dtype(0)}};
  };
  op.vjp = [](const VjpCall& call) {
    const Shape& shape = call.input_shape(0);
    return std::vector<Var>{
        broadcast_to(reshape(call.cotangent(), call.as<ReduceAttributes>().axes.kept_dims(shape)), shape, call.input_batched(0))};
  };
  op.batch = [](const BatchQuery& query) {
    return query.attributes.as<ReduceAttributes>().axes.has(0) ? BatchEffect::sums() : BatchEffect::per_image();
  };
  op.kernels = {naive_kernel([](const KernelCall& call) {
    const Shape kept = call.attributes.as<ReduceAttributes>().axes.kept_dims(call.input(0).shape);
    visit_float(call.output(0).dtype, [&](auto zero) { reduce_sum<decltype(zero)>(call.input(0), call.output(0), kept); });
  })};
  op.samples = [] {
    return std::vector<Sample>{{over({0, 1, 2}), {sample_images({9, 3, 5})}},
                               {over({0, 2, 3}), {sample_images({9, 3, 2, 5})}},
                               {over({1}), {sample_images({9, 4, 3})}},
                               {over({0}, true), {sample_value({3, 5})}},
                               {over({2}, true), {sample_images({5, 1, 7})}},
                               {over({0, 1}), {sample_images({0, 3})}},
                               {over({}), {sample_value({})}},
                               {over({0}), {sample_images({1})}}};
  };
  return op;
}

// The gradient goes to the positions: with the reduced axes behind the others it is put_along over rows.
std::vector<Var> max_vjp(const VjpCall& call) {
  const AxisSet& axes = call.as<ReduceAttributes>().axes;
  const Shape& shape = call.input_shape(0);
  const Shape rows = axes.dropped_dims(shape);
  std::vector<int> behind, back(static_cast<std::size_t>(shape.rank()));
  for (const bool reduced : {false, true}) {
    for (int axis = 0; axis < shape.rank(); ++axis) {
      if (axes.has(axis) == reduced) behind.push_back(axis);
    }
  }
  Shape moved;
  for (int i = 0; i < shape.rank(); ++i) {
    moved.push_back(shape[behind[static_cast<std::size_t>(i)]]);
    back[static_cast<std::size_t>(behind[static_cast<std::size_t>(i)])] = i;
  }
  return {transpose(put_along(reshape(call.cotangent(), rows), reshape(call.output(1), rows), rows.rank(), moved), back)};
}

Op make_max() {
  Op op;
  op.name = "max";
  op.summary = "the largest element over axes and the position of the first one";
  op.smoothness = Op::Smoothness::kinked;
  op.keeps.outputs = 0b10;
  op.shapes = [](const OpQuery& query) {
    want_float(query, 0);
    const auto& attributes = query.attributes.as<ReduceAttributes>();
    const Index count = attributes.axes.only(query.shape(0)).elements();
    if (count == 0) fail("wanted at least one element to take the maximum of, got none over axes " + attributes.axes.text());
    if (count > Index{INT32_MAX}) fail("wanted at most 2^31 - 1 elements to take the maximum of");
    const Shape result = attributes.result(query.shape(0));
    return std::vector<Spec>{{result, query.dtype(0)}, {result, DType::i32}};
  };
  op.vjp = max_vjp;
  op.batch = [](const BatchQuery& query) {
    return query.attributes.as<ReduceAttributes>().axes.has(0) ? BatchEffect::mixes() : BatchEffect::per_image();
  };
  op.kernels = {naive_kernel([](const KernelCall& call) {
    const AxisSet& axes = call.attributes.as<ReduceAttributes>().axes;
    const Shape& shape = call.input(0).shape;
    naive::max_over(call.input(0), axes.kept_dims(shape), axes.only(shape), call.output(0), call.output(1));
  })};
  op.samples = [] {
    return std::vector<Sample>{{over({1}), {sample_images({9, 5}, Fill::distinct)}},
                               {over({0, 2}), {sample_images({5, 3, 7}, Fill::distinct)}},
                               {over({1, 3}, true), {sample_images({9, 2, 3, 5}, Fill::distinct)}},
                               {over({0, 1}), {sample_value({3, 5}, Fill::distinct)}},
                               {over({1}), {sample_images({0, 3}, Fill::distinct)}},
                               {over({1}), {sample_images({4, 1}, Fill::distinct)}},
                               {over({}), {sample_value({}, Fill::distinct)}}};
  };
  return op;
}

const Op& sum_op() {
  static const Op op = make_sum();
  return op;
}
const Op& max_op() {
  static const Op op = make_max();
  return op;
}

Var sum_over(const At& x, const AxisSet& axes, bool keep_dims) { return apply(sum_op(), ReduceAttributes{axes, keep_dims}, x); }

Var mean_over(const At& x, const AxisSet& axes, bool keep_dims) {
  const Index count = axes.only(x.var.shape()).elements();
  if (count == 0)
    fail_at(x, "mean",
            fmt::format("wanted at least one element to take the mean of, got {} over axes {}", x.var.spec().text(), axes.text()));
  return affine(x(sum_over(x, axes, keep_dims)), 1.0 / static_cast<double>(count));
}

Maxima max_over(const At& x, const AxisSet& axes, bool keep_dims) {
  const std::vector<Var> outputs = apply(max_op(), ReduceAttributes{axes, keep_dims}, {x.var}, {x.site, x.name, x.choice, nullptr});
  return {outputs[0], outputs[1]};
}

}  // namespace

std::string ReduceAttributes::describe() const { return "axes " + axes.text() + (keep_dims ? ", kept" : ""); }
Shape ReduceAttributes::result(const Shape& x) const { return keep_dims ? axes.kept_dims(x) : axes.dropped_dims(x); }

Var sum(const At& x) { return sum_over(x, AxisSet::all(x.var.shape().rank()), false); }
Var sum(const At& x, const std::vector<int>& axes, bool keep_dims) {
  return sum_over(x, axis_set(x, "sum", axes, x.var.shape().rank()), keep_dims);
}

Var mean(const At& x) { return mean_over(x, AxisSet::all(x.var.shape().rank()), false); }
Var mean(const At& x, const std::vector<int>& axes, bool keep_dims) {
  return mean_over(x, axis_set(x, "mean", axes, x.var.shape().rank()), keep_dims);
}

Maxima max_with_positions(const At& x, const std::vector<int>& axes, bool keep_dims) {
  return max_over(x, axis_set(x, "max", axes, x.var.shape().rank()), keep_dims);
}
Var max(const At& x) { return max_over(x, AxisSet::all(x.var.shape().rank()), false).value; }
Var max(const At& x, const std::vector<int>& axes, bool keep_dims) { return max_with_positions(x, axes, keep_dims).value; }
Var argmax(const At& x, int axis) { return max_with_positions(x, {axis}).position; }

std::vector<Op> reduce_ops() { return {sum_op(), max_op()}; }

}  // namespace wengert
