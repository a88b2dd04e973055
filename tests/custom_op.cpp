#include "custom_op.hpp"

#include <cmath>

#include <wengert/engine/structural.hpp>
#include <wengert/ops/activation.hpp>
#include <wengert/ops/arithmetic.hpp>

namespace app {

namespace {

// A kernel sees memory and shapes only: whole tensors, or a part of the batch.
template <class Function>
void for_each_element(const wengert::KernelCall& call, Function function) {
  wengert::visit_float(call.output(0).dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const x = call.input(0).read<T>();
    T* const y = call.output(0).write<T>();
    for (wengert::Index i = 0; i < call.output(0).elements(); ++i) y[i] = function(x[i]);
  });
}

// The reference: plain.
void swish_naive(const wengert::KernelCall& call) {
  for_each_element(call, [](auto x) { return x / (1 + std::exp(-x)); });
}

// One function call less; chosen before naive, because it stands behind it. Infinities are left to naive's formula.
void swish_by_tanh(const wengert::KernelCall& call) {
  for_each_element(call, [](auto x) { return std::isinf(x) ? x / (1 + std::exp(-x)) : x / 2 * (1 + std::tanh(x / 2)); });
}

std::vector<wengert::Var> swish_vjp(const wengert::VjpCall& call) {
  const wengert::Var& x = call.input(0);
  const wengert::Var s = wengert::sigmoid(x);
  return {call.cotangent() * (s + x * s * (1.0 - s))};  // in ops, so that it can be differentiated again
}

}  // namespace

wengert::Op swish_op() {
  wengert::Op op;
  op.name = "swish";
  op.summary = "x sigmoid(x)";
  op.keeps.inputs = 1;  // the vjp reads input 0
  op.shapes = wengert::same_shape_rule;
  op.vjp = swish_vjp;
  op.batch = wengert::elementwise_batch;
  wengert::Kernel naive, by_tanh;
  naive.run = swish_naive;
  by_tanh.backend = "tanh_form";
  by_tanh.run = swish_by_tanh;
  op.kernels = {naive, by_tanh};
  op.samples = [] {
    wengert::SampleInput images, value;
    images.shape = {9, 3, 4};
    images.batched = true;
    value.shape = {7};
    return std::vector<wengert::Sample>{{{}, {images}}, {{}, {value}}};
  };
  return op;
}

wengert::Var swish(const wengert::At& x) {
  static const wengert::Op op = swish_op();
  return wengert::apply(op, {}, x);
}

}  // namespace app
