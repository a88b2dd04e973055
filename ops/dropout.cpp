#include <wengert/ops/dropout.hpp>

#include <fmt/format.h>

#include <wengert/engine/context.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/random.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/ops/support.hpp>

namespace wengert {

namespace {

// The output holds the mask first, then the result.
void drop(const KernelCall& call) {
  const auto& attributes = call.attributes.as<DropoutAttributes>();
  const View& y = call.output(0);
  const auto step = static_cast<std::uint32_t>(call.input(1).read<std::int32_t>()[0]);
  const Index elements = y.elements();
  const Index first = call.first_image == 0 ? 0 : call.first_image * y.shape.elements(1, y.shape.rank());
  visit_float(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const x = call.input(0).read<T>();
    T* const out = y.write<T>();
    const T scale = static_cast<T>(1.0 / (1.0 - attributes.rate));
    fill_bernoulli(RandomStream{attributes.seed, attributes.stream, step}, std::span<T>(out, static_cast<std::size_t>(elements)),
                   1.0 - attributes.rate, first);
    for (Index i = 0; i < elements; ++i) out[i] = out[i] == T(0) ? T(0) : x[i] * scale;
  });
}

Op make_dropout() {
  Op op;
  op.name = "dropout";
  op.summary = "x with elements dropped at random and the others scaled by 1 / (1 - rate)";
  op.min_inputs = op.max_inputs = 2;
  op.smoothness = Op::Smoothness::multilinear;
  op.keeps.inputs = 0b10;
  op.shapes = [](const OpQuery& query) {
    want_float(query, 0);
    if (query.inputs[1] != Spec{Shape{}, DType::i32}) fail("wanted an i32 scalar as the step, got " + query.inputs[1].text());
    const double rate = query.attributes.as<DropoutAttributes>().rate;
    if (!(rate >= 0.0 && rate < 1.0)) fail(fmt::format("wanted a rate in [0, 1), got {:g}", rate));
    return std::vector<Spec>{query.inputs[0]};
  };
  op.vjp = [](const VjpCall& call) {
    return std::vector<Var>{call.wanted(0) ? dropout(call.cotangent(), call.input(1), call.as<DropoutAttributes>()) : Var(), Var()};
  };
  op.batch = elementwise_batch;
  op.kernels = {naive_kernel(drop)};
  op.samples = [] {
    using Fill = SampleInput::Fill;
    const SampleInput step = sample_value({}, Fill::classes, 1000);
    return std::vector<Sample>{{DropoutAttributes{0.5, 1, 2}, {sample_images({9, 3, 5}), step}},
                               {DropoutAttributes{0.25, 7, 3}, {sample_value({31}), step}},
                               {DropoutAttributes{0.0, 7, 3}, {sample_images({5, 3}), step}},
                               {DropoutAttributes{0.5, 1, 2}, {sample_images({0, 3}), step}}};
  };
  return op;
}

const Op& dropout_op() {
  static const Op op = make_dropout();
  return op;
}

}  // namespace

std::string DropoutAttributes::describe() const { return fmt::format("rate {:g}", rate); }

Var dropout(const At& x, const Var& step, const DropoutAttributes& attributes) { return apply(dropout_op(), attributes, x, {step}); }

Var dropout(const At& x, double rate, const std::string& name) {
  const Context& context = Context::current();
  if (!context.training) return x.var;
  const At at = x.named(name);
  if (!context.step) fail_at(at, "dropout", "wanted the training step of a TrainingScope to draw its mask, got none");
  return dropout(at, context.step, {rate, context.seed, hash_name(name)});
}

std::vector<Op> dropout_ops() { return {dropout_op()}; }

}  // namespace wengert
