#include <wengert/ops/softmax.hpp>

#include <wengert/backends/naive/softmax.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/index.hpp>
#include <wengert/ops/reduce.hpp>
#include <wengert/ops/support.hpp>

namespace wengert {

namespace {

constexpr int last_axis = -1;

std::vector<Spec> row_shapes(const OpQuery& query) {
  want_float(query, 0);
  const Shape& x = query.shape(0);
  if (x.rank() == 0 || x[x.rank() - 1] < 1) fail("wanted a last axis of at least one class, got " + x.text());
  return {query.inputs[0]};
}

BatchEffect row_batch(const BatchQuery& query) { return query.shape(0).rank() >= 2 ? BatchEffect::per_image() : BatchEffect::mixes(); }

std::vector<Sample> row_samples() {
  return {{{}, {sample_images({9, 10})}}, {{}, {sample_images({5, 2, 3})}}, {{}, {sample_value({4})}}, {{}, {sample_images({0, 3})}}};
}

Op make_softmax() {
  Op op;
  op.name = "softmax";
  op.summary = "exp(x) / sum of exp(x), over the last axis";
  op.keeps.outputs = 1;
  op.shapes = row_shapes;
  op.vjp = [](const VjpCall& call) {  // y (dy - sum dy y)
    const Var &y = call.output(0), &dy = call.cotangent();
    return std::vector<Var>{y * (dy - sum(dy * y, {last_axis}, true))};
  };
  op.batch = row_batch;
  op.kernels = {naive_kernel([](const KernelCall& call) { naive::softmax(call.input(0), call.output(0)); })};
  op.samples = row_samples;
  return op;
}

Op make_log_softmax() {
  Op op;
  op.name = "log_softmax";
  op.summary = "x - log of the sum of exp(x), over the last axis";
  op.keeps.outputs = 1;
  op.shapes = row_shapes;
  op.vjp = [](const VjpCall& call) {  // dy - exp(y) sum dy
    const Var &y = call.output(0), &dy = call.cotangent();
    return std::vector<Var>{dy - exp(y) * sum(dy, {last_axis}, true)};
  };
  op.batch = row_batch;
  op.kernels = {naive_kernel([](const KernelCall& call) { naive::log_softmax(call.input(0), call.output(0)); })};
  op.samples = row_samples;
  return op;
}

// Outputs loss (N) and p (N,C). With loss = s lse(o) - sum_i y_i o_i, s = sum_i y_i (1 for classes):
// dloss/do = s p - y, dloss/dy = -log p; p has softmax's gradient.
std::vector<Var> cross_entropy_vjp(const VjpCall& call) {
  const Var& p = call.output(1);
  const Var& labels = call.input(1);
  const bool classes = labels.dtype() == DType::i32;
  std::vector<Var> gradients(2);
  if (call.cotangent(0)) {
    const Var dloss = reshape(call.cotangent(0), {call.input_shape(0)[0], 1});
    if (call.wanted(0)) {
      gradients[0] =
          classes ? (p - one_hot(labels, p.shape()[1], p.dtype())) * dloss : (p * sum(labels, {last_axis}, true) - labels) * dloss;
    }
    if (call.wanted(1)) gradients[1] = negate(log_softmax(call.input(0))) * dloss;
  }
  if (const Var& dp = call.cotangent(1); dp && call.wanted(0)) {
    const Var through = p * (dp - sum(dp * p, {last_axis}, true));
    gradients[0] = gradients[0] ? gradients[0] + through : through;
  }
  return gradients;
}

Op make_softmax_cross_entropy() {
  Op op;
  op.name = "softmax_cross_entropy";
  op.summary = "loss of each image: -sum y log softmax(x), labels as classes or probabilities; also the probabilities";
  op.min_inputs = op.max_inputs = 2;
  op.keeps = {0b11, 0b10};
  op.shapes = [](const OpQuery& query) {
    want_float(query, 0);
    const Shape &x = query.shape(0), &labels = query.shape(1);
    if (x.rank() != 2 || x[1] < 1) fail("wanted logits (N,C), got " + x.text());
    if (query.dtype(1) == DType::i32) {
      if (labels != Shape{x[0]}) fail("wanted a class for each image, i32 " + Shape{x[0]}.text() + ", got " + labels.text());
    } else {
      want_same_dtype(query, 0, 1);
      if (labels != x) fail("wanted a probability for each class, " + x.text() + ", got " + labels.text());
    }
    return std::vector<Spec>{{{x[0]}, query.dtype(0)}, query.inputs[0]};
  };
  op.vjp = cross_entropy_vjp;
  op.batch = [](const BatchQuery& query) { return query.batched == 0b11 ? BatchEffect::per_image() : BatchEffect::mixes(0b11); };
  op.kernels = {naive_kernel([](const KernelCall& call) {
    naive::softmax_cross_entropy(call.input(0), call.input(1), call.output(0), call.output(1), call.first_image);
  })};
  op.samples = [] {
    using Fill = SampleInput::Fill;
    return std::vector<Sample>{{{}, {sample_images({9, 10}), sample_images({9}, Fill::classes, 10)}},
                               {{}, {sample_images({5, 3}), sample_images({5, 3}, Fill::row_stochastic)}},
                               {{}, {sample_images({1, 2}), sample_images({1}, Fill::classes, 2)}},
                               {{}, {sample_images({0, 4}), sample_images({0}, Fill::classes, 4)}}};
  };
  return op;
}

const Op& softmax_op() {
  static const Op op = make_softmax();
  return op;
}
const Op& log_softmax_op() {
  static const Op op = make_log_softmax();
  return op;
}
const Op& softmax_cross_entropy_op() {
  static const Op op = make_softmax_cross_entropy();
  return op;
}

}  // namespace

Var softmax(const At& x) { return apply(softmax_op(), {}, x); }
Var log_softmax(const At& x) { return apply(log_softmax_op(), {}, x); }

Var softmax_cross_entropy(const At& logits, const Var& labels) {
  const Var inputs[] = {logits.var, labels};
  return apply(softmax_cross_entropy_op(), {}, inputs, {logits.site, logits.name, logits.choice, nullptr})[0];
}

std::vector<Op> softmax_ops() { return {softmax_op(), log_softmax_op(), softmax_cross_entropy_op()}; }

}  // namespace wengert
