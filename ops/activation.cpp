#include <wengert/ops/activation.hpp>

#include <algorithm>
#include <cmath>

#include <wengert/engine/error.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/direct_kernels.hpp>
#include <wengert/ops/support.hpp>

namespace wengert {

namespace {

using Fill = SampleInput::Fill;

// Function: a generic functor, function(T) -> T.
template <class Function>
Op activation(const char* name, const char* summary, Op::Smoothness smoothness, Fill fill) {
  Op op;
  op.name = name;
  op.summary = summary;
  op.smoothness = smoothness;
  op.keeps.outputs = 0b1;
  op.shapes = same_shape_rule;
  op.batch = elementwise_batch;
  op.kernels = {naive_kernel([](const KernelCall& call) {
    visit_float(call.output(0).dtype, [&](auto zero) {
      using T = decltype(zero);
      const T* const x = call.input(0).read<T>();
      std::transform(x, x + call.input(0).elements(), call.output(0).write<T>(), Function{});
    });
  })};
  op.samples = [fill] {
    return std::vector<Sample>{{{}, {sample_images({9, 3, 5}, fill)}},
                               {{}, {sample_value({7}, fill)}},
                               {{}, {sample_value({}, fill)}},
                               {{}, {sample_images({0, 3}, fill)}}};
  };
  return op;
}

struct Relu {
  template <class T>
  T operator()(T x) const {
    return x <= T(0) ? T(0) : x;
  }  // this way round, NaN passes
};
struct Tanh {
  template <class T>
  T operator()(T x) const {
    return std::tanh(x);
  }
};
struct Sigmoid {
  template <class T>
  T operator()(T x) const {
    const T e = std::exp(-std::abs(x));
    return (x >= T(0) ? T(1) : e) / (T(1) + e);
  }
};

Op make_relu() {
  Op op = activation<Relu>("relu", "max(x, 0)", Op::Smoothness::kinked, Fill::away);
  op.vjp = [](const VjpCall& call) { return std::vector<Var>{gate(call.output(0), call.cotangent())}; };
  return op;
}

Op make_tanh() {
  Op op = activation<Tanh>("tanh", "the hyperbolic tangent", Op::Smoothness::smooth, Fill::normal);
  op.vjp = [](const VjpCall& call) {  // c (1 - y^2)
    return std::vector<Var>{multiply(call.cotangent(), affine(multiply(call.output(0), call.output(0)), -1.0, 1.0))};
  };
  return op;
}

Op make_sigmoid() {
  Op op = activation<Sigmoid>("sigmoid", "1 / (1 + exp(-x))", Op::Smoothness::smooth, Fill::normal);
  op.vjp = [](const VjpCall& call) {  // c y (1 - y)
    return std::vector<Var>{multiply(call.cotangent(), multiply(call.output(0), affine(call.output(0), -1.0, 1.0)))};
  };
  return op;
}

Op make_gate() {
  Op op;
  op.name = "gate";
  op.summary = "c where y is positive or NaN, else 0: the cotangent of y = relu(x)";
  op.min_inputs = op.max_inputs = 2;
  op.smoothness = Op::Smoothness::kinked;
  op.keeps.inputs = 0b1;
  op.shapes = [](const OpQuery& query) {
    want_float(query, 0);
    want_same_dtype(query, 0, 1);
    if (query.shape(0) != query.shape(1))
      fail("wanted y and c of one shape, got " + query.shape(0).text() + " and " + query.shape(1).text());
    return std::vector<Spec>{query.inputs[0]};
  };
  op.vjp = [](const VjpCall& call) { return std::vector<Var>{Var(), call.wanted(1) ? gate(call.input(0), call.cotangent()) : Var()}; };
  op.batch = elementwise_batch;
  op.kernels = {naive_kernel([](const KernelCall& call) {
    visit_float(call.output(0).dtype, [&](auto zero) {
      using T = decltype(zero);
      const T* const y = call.input(0).read<T>();
      std::transform(y, y + call.input(0).elements(), call.input(1).read<T>(), call.output(0).write<T>(),
                     [](T open, T c) { return open <= T(0) ? T(0) : c; });
    });
  })};
  op.samples = [] {
    return std::vector<Sample>{{{}, {sample_images({9, 3, 5}, Fill::away), sample_images({9, 3, 5})}},
                               {{}, {sample_value({7}, Fill::away), sample_value({7})}},
                               {{}, {sample_value({}, Fill::positive), sample_value({})}},
                               {{}, {sample_images({0, 3}, Fill::away), sample_images({0, 3})}}};
  };
  return op;
}

const Op& relu_op() {
  static const Op op = with_kernel(make_relu(), direct_unary_kernel(direct::Unary::relu));
  return op;
}
const Op& tanh_op() {
  static const Op op = with_kernel(make_tanh(), direct_unary_kernel(direct::Unary::tanh));
  return op;
}
const Op& sigmoid_op() {
  static const Op op = with_kernel(make_sigmoid(), direct_unary_kernel(direct::Unary::sigmoid));
  return op;
}
const Op& gate_op() {
  static const Op op = with_kernel(make_gate(), direct_binary_kernel(direct::Binary::gate, true));
  return op;
}

}  // namespace

Var relu(const At& x) { return apply(relu_op(), {}, x); }
Var tanh(const At& x) { return apply(tanh_op(), {}, x); }
Var sigmoid(const At& x) { return apply(sigmoid_op(), {}, x); }
Var gate(const At& y, const Var& c) { return apply(gate_op(), {}, y, {c}); }

std::vector<Op> activation_ops() { return {relu_op(), tanh_op(), sigmoid_op(), gate_op()}; }

}  // namespace wengert
