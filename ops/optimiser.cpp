#include <wengert/ops/optimiser.hpp>

#include <cmath>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/ops/direct_kernels.hpp>
#include <wengert/ops/support.hpp>

namespace wengert {

namespace {

// Inputs [0, values) share a shape, the rest are scalars; the first `outputs` specs are the results.
std::vector<Spec> update_shapes(const OpQuery& query, int values, int outputs) {
  for (int i = 0; i < static_cast<int>(query.inputs.size()); ++i) {
    want_float(query, i);
    want_same_dtype(query, 0, i);
    const Shape wanted = i < values ? query.shape(0) : Shape{};
    if (query.shape(i) != wanted) fail(fmt::format("wanted shape {} as input {}, got {}", wanted.text(), i, query.shape(i).text()));
  }
  return std::vector<Spec>(static_cast<std::size_t>(outputs), query.inputs[0]);
}

template <class T>
T scalar(const KernelCall& call, int input) {
  return *call.input(input).read<T>();
}

template <class T>
void adam_kernel(const KernelCall& call) {
  const auto& a = call.attributes.as<AdamAttributes>();
  const T beta1 = static_cast<T>(a.beta1), beta2 = static_cast<T>(a.beta2), epsilon = static_cast<T>(a.epsilon);
  const T rest1 = static_cast<T>(1.0 - a.beta1), rest2 = static_cast<T>(1.0 - a.beta2);
  const T rate = scalar<T>(call, 4), step = rate / scalar<T>(call, 5), root = T(1) / std::sqrt(scalar<T>(call, 6));
  const T decay = rate * static_cast<T>(a.weight_decay);
  const T *p = call.input(0).read<T>(), *m = call.input(1).read<T>(), *v = call.input(2).read<T>(), *g = call.input(3).read<T>();
  T *next_p = call.output(0).write<T>(), *next_m = call.output(1).write<T>(), *next_v = call.output(2).write<T>();
  for (Index i = 0; i < call.input(0).elements(); ++i) {
    const T first = beta1 * m[i] + rest1 * g[i];
    const T second = beta2 * v[i] + rest2 * (g[i] * g[i]);
    next_m[i] = first;
    next_v[i] = second;
    next_p[i] = p[i] - decay * p[i] - step * first / (std::sqrt(second) * root + epsilon);
  }
}

template <class T>
void sgd_kernel(const KernelCall& call) {
  const auto& a = call.attributes.as<SgdAttributes>();
  const T momentum = static_cast<T>(a.momentum), decay = static_cast<T>(a.weight_decay), rate = scalar<T>(call, 3);
  const T *p = call.input(0).read<T>(), *velocity = call.input(1).read<T>(), *g = call.input(2).read<T>();
  T *next_p = call.output(0).write<T>(), *next_velocity = call.output(1).write<T>();
  for (Index i = 0; i < call.input(0).elements(); ++i) {
    next_velocity[i] = momentum * velocity[i] + (g[i] + decay * p[i]);
    next_p[i] = p[i] - rate * next_velocity[i];
  }
}

Op make_update(const char* name, const char* summary, int inputs) {
  Op op = make_constant_op(name, summary, inputs, inputs);
  op.batch = [](const BatchQuery&) { return BatchEffect::mixes(); };
  return op;
}

const Op& adam_op() {
  static const Op op = [] {
    Op made = make_update("adam", "one step of Adam: the next p, m and v", 7);
    made.shapes = [](const OpQuery& query) { return update_shapes(query, 4, 3); };
    made.kernels = {naive_kernel([](const KernelCall& call) {
                      visit_float(call.input(0).dtype, [&](auto zero) { adam_kernel<decltype(zero)>(call); });
                    }),
                    direct_adam_kernel()};
    made.overwrites = 0b111;
    made.samples = [] {
      using Fill = SampleInput::Fill;
      const auto sample = [](const Shape& shape) {
        return Sample{AdamAttributes{0.95, 0.99, 1e-8, 0.01},
                      {sample_value(shape), sample_value(shape), sample_value(shape, Fill::positive), sample_value(shape),
                       sample_value({}, Fill::positive), sample_value({}, Fill::positive), sample_value({}, Fill::positive)}};
      };
      return std::vector<Sample>{sample({17}), sample({3, 5}), sample({0})};
    };
    return made;
  }();
  return op;
}

const Op& sgd_op() {
  static const Op op = [] {
    Op made = make_update("sgd", "one step of SGD with momentum: the next p and velocity", 4);
    made.shapes = [](const OpQuery& query) { return update_shapes(query, 3, 2); };
    made.kernels = {naive_kernel([](const KernelCall& call) {
                      visit_float(call.input(0).dtype, [&](auto zero) { sgd_kernel<decltype(zero)>(call); });
                    }),
                    direct_sgd_kernel()};
    made.overwrites = 0b11;
    made.samples = [] {
      const auto sample = [](const Shape& shape) {
        return Sample{SgdAttributes{0.9, 0.01},
                      {sample_value(shape), sample_value(shape), sample_value(shape), sample_value({}, SampleInput::Fill::positive)}};
      };
      return std::vector<Sample>{sample({17}), sample({3, 5})};
    };
    return made;
  }();
  return op;
}

}  // namespace

std::string AdamAttributes::describe() const {
  return fmt::format("betas {:g} {:g}, epsilon {:g}, weight decay {:g}", beta1, beta2, epsilon, weight_decay);
}
std::string SgdAttributes::describe() const { return fmt::format("momentum {:g}, weight decay {:g}", momentum, weight_decay); }

AdamResult adam(const At& p, const Var& m, const Var& v, const Var& gradient, const Var& rate, const Var& correction1,
                const Var& correction2, const AdamAttributes& attributes) {
  const auto next =
      apply(adam_op(), attributes, {p.var, m, v, gradient, rate, correction1, correction2}, {p.site, p.name, p.choice, nullptr});
  return {next[0], next[1], next[2]};
}

SgdResult sgd(const At& p, const Var& velocity, const Var& gradient, const Var& rate, const SgdAttributes& attributes) {
  const auto next = apply(sgd_op(), attributes, {p.var, velocity, gradient, rate}, {p.site, p.name, p.choice, nullptr});
  return {next[0], next[1]};
}

std::vector<Op> optimiser_ops() { return {adam_op(), sgd_op()}; }

}  // namespace wengert
