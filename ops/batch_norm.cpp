#include <wengert/ops/batch_norm.hpp>

#include <fmt/format.h>

#include <wengert/backends/naive/batch_norm.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/direct_kernels.hpp>
#include <wengert/ops/reduce.hpp>
#include <wengert/ops/support.hpp>

namespace wengert {

namespace {

// (C) as (C,1,...), which broadcasts against x (N,C,...).
Var per_channel(const At& values, const Shape& x) {
  Shape shape{x[1]};
  while (shape.rank() < x.rank() - 1) shape.push_back(1);
  return reshape(values, shape);
}

// All axes but that of the channels.
std::vector<int> summed_axes(const Shape& x) {
  std::vector<int> axes = {0};
  for (int axis = 2; axis < x.rank(); ++axis) axes.push_back(axis);
  return axes;
}

std::vector<Spec> batch_norm_shapes(const OpQuery& query) {
  const Shape& x = query.shape(0);
  if (x.rank() < 2) fail("wanted x (N,C,...), got " + x.text());
  for (int i = 0; i < 3; ++i) {
    want_float(query, i);
    want_same_dtype(query, 0, i);
    if (i > 0 && query.shape(i) != Shape{x[1]}) fail(fmt::format("wanted gamma and beta ({}), got {}", x[1], query.shape(i).text()));
  }
  if (x[0] * x.elements(2, x.rank()) == 0) fail("wanted at least one element in each channel to take the mean of, got " + x.text());
  if (const double epsilon = query.attributes.as<BatchNormAttributes>().epsilon; !(epsilon >= 0.0))
    fail(fmt::format("wanted epsilon >= 0, got {:g}", epsilon));
  return {query.inputs[0], query.inputs[1], query.inputs[1]};
}

// With h = (x - mean) r, r = (variance + epsilon)^-1/2 and m elements a channel:
//   d beta = sum dy, d gamma = sum dy h, dx = gamma r (dy - (d beta + h d gamma) / m) + (d mean + 2 (x - mean) d variance) / m
std::vector<Var> batch_norm_vjp(const VjpCall& call) {
  const Shape& shape = call.input_shape(0);
  const auto channels = [&](const Var& values) { return per_channel(values, shape); };
  const double share = 1.0 / static_cast<double>(shape[0] * shape.elements(2, shape.rank()));
  const Var centred = call.input(0) - channels(call.output(1));
  std::vector<Var> gradients(3);
  Var& dx = gradients[0];
  const auto add_to_dx = [&](const Var& term) { dx = dx ? dx + term : broadcast_to(term, shape, call.input_batched(0)); };
  if (const Var& dy = call.cotangent(0)) {
    const Var scale = power(call.output(2) + call.as<BatchNormAttributes>().epsilon, -0.5);
    const Var normal = centred * channels(scale);
    gradients[1] = sum(dy * normal, summed_axes(shape));
    gradients[2] = sum(dy, summed_axes(shape));
    if (call.wanted(0))
      add_to_dx(channels(call.input(1) * scale) * (dy - (channels(gradients[2] * share) + normal * channels(gradients[1] * share))));
  }
  if (!call.wanted(0)) return gradients;
  if (const Var& dmean = call.cotangent(1)) add_to_dx(channels(dmean * share));
  if (const Var& dvariance = call.cotangent(2)) add_to_dx(centred * channels(dvariance * (2.0 * share)));
  return gradients;
}

Op make_batch_norm() {
  Op op;
  op.name = "batch_norm";
  op.summary = "each channel shifted and scaled to mean beta and deviation gamma over the batch";
  op.min_inputs = op.max_inputs = 3;
  op.keeps = {0b011, 0b110};
  op.shapes = batch_norm_shapes;
  op.vjp = batch_norm_vjp;
  op.batch = [](const BatchQuery& query) { return BatchEffect::mixes(query.is_batched(0) ? 1u : 0u); };
  op.kernels = {naive_kernel([](const KernelCall& call) {
                  naive::batch_norm(call.attributes.as<BatchNormAttributes>().epsilon, call.input(0), call.input(1), call.input(2),
                                    call.output(0), call.output(1), call.output(2));
                }),
                direct_batch_norm_kernel(false)};
  op.sliced = true;
  op.samples = [] {
    const BatchNormAttributes attributes;
    return std::vector<Sample>{{attributes, {sample_images({9, 3, 2, 5}), sample_value({3}), sample_value({3})}},
                               {attributes, {sample_images({5, 4}), sample_value({4}), sample_value({4})}},
                               {BatchNormAttributes{0.1}, {sample_images({4, 1, 3}), sample_value({1}), sample_value({1})}},
                               {BatchNormAttributes{0.5}, {sample_value({1, 2, 3, 1}), sample_value({2}), sample_value({2})}}};
  };
  return op;
}

const Op& batch_norm_op() {
  static const Op op = make_batch_norm();
  return op;
}

}  // namespace

std::string BatchNormAttributes::describe() const { return fmt::format("epsilon {:g}", epsilon); }

BatchNormResult batch_norm(const At& x, const Var& gamma, const Var& beta, double epsilon) {
  const std::vector<Var> outputs =
      apply(batch_norm_op(), BatchNormAttributes{epsilon}, {x.var, gamma, beta}, {x.site, x.name, x.choice, nullptr});
  return {outputs[0], outputs[1], outputs[2]};
}

Var batch_norm_inference(const At& x, const Var& gamma, const Var& beta, const Var& mean, const Var& variance, double epsilon) {
  const Shape& shape = x.var.shape();
  if (shape.rank() < 2) fail_at(x, "batch_norm_inference", "wanted x (N,C,...), got " + x.var.spec().text());
  for (const Var& values : {gamma, beta, mean, variance}) {
    if (values.shape() != Shape{shape[1]}) {
      fail_at(
          x, "batch_norm_inference",
          fmt::format("wanted gamma, beta, mean and variance ({}) for {}, got {}", shape[1], x.var.spec().text(), values.spec().text()));
    }
  }
  const auto channels = [&](const Var& values) { return per_channel(x(values), shape); };
  const Var scale = divide(x(gamma), sqrt(x(affine(x(variance), 1.0, epsilon))));
  return add(x(multiply(x(subtract(x, channels(mean))), channels(scale))), channels(beta));
}

std::vector<Op> batch_norm_ops() { return {batch_norm_op()}; }

}  // namespace wengert
