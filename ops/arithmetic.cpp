#include <wengert/ops/arithmetic.hpp>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <wengert/engine/strided.hpp>
#include <wengert/ops/activation.hpp>
#include <wengert/ops/direct_kernels.hpp>
#include <wengert/ops/support.hpp>

namespace wengert {

namespace {

using Fill = SampleInput::Fill;

template <class T, class Function>
void map(const KernelCall& call, Function function) {
  const T* const x = call.input(0).read<T>();
  std::transform(x, x + call.input(0).elements(), call.output(0).write<T>(), function);
}

// Function: a generic functor, function(T, T) -> T.
template <class Function>
Kernel binary_kernel() {
  return naive_kernel([](const KernelCall& call) {
    visit_float(call.output(0).dtype,
                [&](auto zero) { broadcast_binary<decltype(zero)>(call.input(0), call.input(1), call.output(0), Function{}); });
  });
}

template <class Function>
Kernel unary_kernel() {
  return naive_kernel(
      [](const KernelCall& call) { visit_float(call.output(0).dtype, [&](auto zero) { map<decltype(zero)>(call, Function{}); }); });
}

// Every way in which two operands may broadcast, with their fills.
std::vector<Sample> binary_samples(Fill a, Fill b) {
  return {{{}, {sample_images({9, 3}, a), sample_images({9, 3}, b)}}, {{}, {sample_images({9, 3, 2, 5}, a), sample_value({3, 1, 1}, b)}},
          {{}, {sample_value({1, 5}, a), sample_images({4, 1}, b)}},  {{}, {sample_value({}, a), sample_value({3, 7}, b)}},
          {{}, {sample_value({2, 3}, a), sample_value({}, b)}},       {{}, {sample_images({0, 3}, a), sample_value({3}, b)}},
          {{}, {sample_value({}, a), sample_value({1}, b)}}};
}

std::vector<Sample> unary_samples(Fill fill, const Attributes& attributes = {}) {
  return {{attributes, {sample_images({9, 3, 5}, fill)}},
          {attributes, {sample_value({7}, fill)}},
          {attributes, {sample_value({}, fill)}},
          {attributes, {sample_images({0, 3}, fill)}}};
}

Op binary(const char* name, const char* summary, Op::Smoothness smoothness, Kernel kernel) {
  Op op;
  op.name = name;
  op.summary = summary;
  op.min_inputs = op.max_inputs = 2;
  op.smoothness = smoothness;
  op.broadcasts = true;
  op.shapes = broadcast_shape_rule;
  op.batch = elementwise_batch;
  op.kernels = {std::move(kernel)};
  return op;
}

Op unary(const char* name, const char* summary, Op::Smoothness smoothness, Kernel kernel) {
  Op op;
  op.name = name;
  op.summary = summary;
  op.smoothness = smoothness;
  op.shapes = same_shape_rule;
  op.batch = elementwise_batch;
  op.kernels = {std::move(kernel)};
  return op;
}

struct Subtract {
  template <class T>
  T operator()(T a, T b) const {
    return a - b;
  }
};
struct Multiply {
  template <class T>
  T operator()(T a, T b) const {
    return a * b;
  }
};
struct Divide {
  template <class T>
  T operator()(T a, T b) const {
    return a / b;
  }
};
struct Maximum {
  template <class T>
  T operator()(T a, T b) const {
    return a >= b || std::isnan(a) ? a : b;
  }
};
struct GreaterEqual {
  template <class T>
  T operator()(T a, T b) const {
    return a >= b ? T(1) : T(0);
  }
};
struct Exp {
  template <class T>
  T operator()(T x) const {
    return std::exp(x);
  }
};
struct Log {
  template <class T>
  T operator()(T x) const {
    return std::log(x);
  }
};
struct Sqrt {
  template <class T>
  T operator()(T x) const {
    return std::sqrt(x);
  }
};

Op make_subtract() {
  Op op = binary("subtract", "a - b, broadcasting", Op::Smoothness::multilinear, binary_kernel<Subtract>());
  op.vjp = [](const VjpCall& call) { return std::vector<Var>{call.cotangent(), call.wanted(1) ? negate(call.cotangent()) : Var()}; };
  op.samples = [] { return binary_samples(Fill::normal, Fill::normal); };
  return op;
}

Op make_multiply() {
  Op op = binary("multiply", "a b, broadcasting", Op::Smoothness::multilinear, binary_kernel<Multiply>());
  op.keeps.inputs = 0b11;
  op.vjp = [](const VjpCall& call) {
    return std::vector<Var>{call.wanted(0) ? multiply(call.cotangent(), call.input(1)) : Var(),
                            call.wanted(1) ? multiply(call.cotangent(), call.input(0)) : Var()};
  };
  op.samples = [] { return binary_samples(Fill::normal, Fill::normal); };
  return op;
}

Op make_divide() {
  Op op = binary("divide", "a / b, broadcasting", Op::Smoothness::smooth, binary_kernel<Divide>());
  op.keeps = {0b10, 0b1};
  op.vjp = [](const VjpCall& call) {
    const Var da = divide(call.cotangent(), call.input(1));
    return std::vector<Var>{da, call.wanted(1) ? negate(multiply(da, call.output(0))) : Var()};
  };
  op.samples = [] { return binary_samples(Fill::normal, Fill::away); };
  return op;
}

Op make_maximum() {
  Op op = binary("maximum", "the larger of a and b, broadcasting; at a tie a", Op::Smoothness::kinked, binary_kernel<Maximum>());
  op.keeps.inputs = 0b11;
  op.vjp = [](const VjpCall& call) {
    const Var a_wins = greater_equal(call.input(0), call.input(1));
    return std::vector<Var>{call.wanted(0) ? gate(a_wins, call.cotangent()) : Var(),
                            call.wanted(1) ? gate(affine(a_wins, -1.0, 1.0), call.cotangent()) : Var()};
  };
  op.samples = [] {  // one operand keeps away from 0, where the other stands: no ties
    std::vector<Sample> samples = binary_samples(Fill::away, Fill::zeros);
    for (const Sample& sample : binary_samples(Fill::zeros, Fill::away)) samples.push_back(sample);
    return samples;
  };
  return op;
}

Op make_greater_equal() {
  Op op = binary("greater_equal", "1 where a >= b, else 0, broadcasting", Op::Smoothness::constant, binary_kernel<GreaterEqual>());
  op.samples = [] {
    std::vector<Sample> samples = binary_samples(Fill::normal, Fill::normal);
    samples.push_back({{}, {sample_images({9, 3}, Fill::zeros), sample_value({3}, Fill::zeros)}});
    return samples;
  };
  return op;
}

Op make_affine() {
  Op op = unary("affine", "scale x + shift, with constants", Op::Smoothness::multilinear, naive_kernel([](const KernelCall& call) {
                  const auto& attributes = call.attributes.as<AffineAttributes>();
                  visit_float(call.output(0).dtype, [&](auto zero) {
                    using T = decltype(zero);
                    const T scale = static_cast<T>(attributes.scale), shift = static_cast<T>(attributes.shift);
                    if (attributes.shift == 0.0) map<T>(call, [scale](T x) { return scale * x; });  // keeps the sign of a zero
                    else map<T>(call, [scale, shift](T x) { return scale * x + shift; });
                  });
                }));
  op.vjp = [](const VjpCall& call) { return std::vector<Var>{affine(call.cotangent(), call.as<AffineAttributes>().scale)}; };
  op.samples = [] {
    std::vector<Sample> samples = unary_samples(Fill::normal, AffineAttributes{-1.5, 0.75});
    samples.push_back({AffineAttributes{2.0, 0.0}, {sample_images({9, 3})}});
    return samples;
  };
  return op;
}

Op make_power() {
  Op op = unary("power", "x to a constant power", Op::Smoothness::smooth, naive_kernel([](const KernelCall& call) {
                  const double exponent = call.attributes.as<PowerAttributes>().exponent;
                  visit_float(call.output(0).dtype, [&](auto zero) {
                    using T = decltype(zero);
                    if (exponent == 2.0) map<T>(call, [](T x) { return x * x; });
                    else if (exponent == -1.0) map<T>(call, [](T x) { return T(1) / x; });
                    else map<T>(call, [p = static_cast<T>(exponent)](T x) { return std::pow(x, p); });
                  });
                }));
  op.keeps.inputs = 0b1;
  op.vjp = [](const VjpCall& call) {
    const double exponent = call.as<PowerAttributes>().exponent;
    if (exponent == 0.0) return std::vector<Var>{affine(call.cotangent(), 0.0)};  // x^-1 would be infinite at 0
    return std::vector<Var>{affine(multiply(call.cotangent(), power(call.input(0), exponent - 1.0)), exponent)};
  };
  op.samples = [] {
    std::vector<Sample> samples = unary_samples(Fill::positive, PowerAttributes{-0.5});
    for (const double exponent : {-1.0, 0.0, 2.0, 3.0}) samples.push_back({PowerAttributes{exponent}, {sample_images({9, 2}, Fill::away)}});
    samples.push_back({PowerAttributes{2.5}, {sample_value({3, 2}, Fill::positive)}});
    return samples;
  };
  return op;
}

Op make_exp() {
  Op op = unary("exp", "e to the x", Op::Smoothness::smooth, unary_kernel<Exp>());
  op.keeps.outputs = 0b1;
  op.vjp = [](const VjpCall& call) { return std::vector<Var>{multiply(call.cotangent(), call.output(0))}; };
  op.samples = [] { return unary_samples(Fill::normal); };
  return op;
}

Op make_log() {
  Op op = unary("log", "the natural logarithm", Op::Smoothness::smooth, unary_kernel<Log>());
  op.keeps.inputs = 0b1;
  op.vjp = [](const VjpCall& call) { return std::vector<Var>{divide(call.cotangent(), call.input(0))}; };
  op.samples = [] { return unary_samples(Fill::positive); };
  return op;
}

Op make_sqrt() {
  Op op = unary("sqrt", "the square root", Op::Smoothness::smooth, unary_kernel<Sqrt>());
  op.keeps.outputs = 0b1;
  op.vjp = [](const VjpCall& call) { return std::vector<Var>{affine(divide(call.cotangent(), call.output(0)), 0.5)}; };
  op.samples = [] { return unary_samples(Fill::positive); };
  return op;
}

Kernel direct_affine_kernel() {
  return direct_elementwise_kernel(
      [](const KernelCall& call, Index count) {
        const auto& a = call.attributes.as<AffineAttributes>();
        direct::affine(static_cast<float>(a.scale), static_cast<float>(a.shift), count, call.input(0).read<float>(),
                       call.output(0).write<float>());
      },
      false);
}

const Op& subtract_op() {
  static const Op op = with_kernel(make_subtract(), direct_binary_kernel(direct::Binary::subtract));
  return op;
}
const Op& multiply_op() {
  static const Op op = with_kernel(make_multiply(), direct_binary_kernel(direct::Binary::multiply));
  return op;
}
const Op& divide_op() {
  static const Op op = with_kernel(make_divide(), direct_binary_kernel(direct::Binary::divide));
  return op;
}
const Op& maximum_op() {
  static const Op op = with_kernel(make_maximum(), direct_binary_kernel(direct::Binary::maximum));
  return op;
}
const Op& greater_equal_op() {
  static const Op op = make_greater_equal();
  return op;
}
const Op& affine_op() {
  static const Op op = with_kernel(make_affine(), direct_affine_kernel());
  return op;
}
const Op& power_op() {
  static const Op op = make_power();
  return op;
}
const Op& exp_op() {
  static const Op op = with_kernel(make_exp(), direct_unary_kernel(direct::Unary::exp));
  return op;
}
const Op& log_op() {
  static const Op op = with_kernel(make_log(), direct_unary_kernel(direct::Unary::log));
  return op;
}
const Op& sqrt_op() {
  static const Op op = with_kernel(make_sqrt(), direct_unary_kernel(direct::Unary::sqrt));
  return op;
}

// A number as a scalar of x's dtype; apply() puts it on x's tape. Division takes one, since a product with the reciprocal
// rounds twice and underflows for large divisors.
Var scalar_like(const At& x, double value) { return Var(Tensor::scalar(value, x.var.dtype()).to(x.var.device())); }

}  // namespace

std::string PowerAttributes::describe() const { return fmt::format("exponent {:g}", exponent); }
std::string AffineAttributes::describe() const { return fmt::format("{:g} x + {:g}", scale, shift); }

Var subtract(const At& a, const Var& b) { return apply(subtract_op(), {}, a, {b}); }
Var multiply(const At& a, const Var& b) { return apply(multiply_op(), {}, a, {b}); }
Var divide(const At& a, const Var& b) { return apply(divide_op(), {}, a, {b}); }
Var negate(const At& x) { return affine(x, -1.0); }
Var affine(const At& x, double scale, double shift) { return apply(affine_op(), AffineAttributes{scale, shift}, x); }
Var power(const At& x, double exponent) { return exponent == 1.0 ? x.var : apply(power_op(), PowerAttributes{exponent}, x); }
Var exp(const At& x) { return apply(exp_op(), {}, x); }
Var log(const At& x) { return apply(log_op(), {}, x); }
Var sqrt(const At& x) { return apply(sqrt_op(), {}, x); }
Var maximum(const At& a, const Var& b) { return apply(maximum_op(), {}, a, {b}); }
Var greater_equal(const At& a, const Var& b) { return apply(greater_equal_op(), {}, a, {b}); }

Var operator+(const At& a, const At& b) { return add(a, b.var); }
Var operator-(const At& a, const At& b) { return subtract(a, b.var); }
Var operator*(const At& a, const At& b) { return multiply(a, b.var); }
Var operator/(const At& a, const At& b) { return divide(a, b.var); }
Var operator+(const At& a, double b) { return affine(a, 1.0, b); }
Var operator-(const At& a, double b) { return affine(a, 1.0, -b); }
Var operator*(const At& a, double b) { return affine(a, b); }
Var operator/(const At& a, double b) { return divide(a, scalar_like(a, b)); }
Var operator+(double a, const At& b) { return affine(b, 1.0, a); }
Var operator-(double a, const At& b) { return affine(b, -1.0, a); }
Var operator*(double a, const At& b) { return affine(b, a); }
Var operator/(double a, const At& b) { return divide(b(scalar_like(b, a)), b.var); }
Var operator-(const At& x) { return negate(x); }

std::vector<Op> arithmetic_ops() {
  return {subtract_op(), multiply_op(), divide_op(), maximum_op(), greater_equal_op(),
          affine_op(),   power_op(),    exp_op(),    log_op(),     sqrt_op()};
}

}  // namespace wengert
