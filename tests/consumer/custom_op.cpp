#include <iostream>
#include <wengert/wengert.hpp>
namespace wg = wengert;

// y = x^3. A kernel sees memory and shapes only: whole tensors, or a part of the batch.
void cube_naive(const wg::KernelCall& call) {
  wg::visit_float(call.output(0).dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const x = call.input(0).read<T>();
    T* const y = call.output(0).write<T>();
    for (wg::Index i = 0; i < call.output(0).elements(); ++i) y[i] = x[i] * x[i] * x[i];
  });
}

std::vector<wg::Var> cube_vjp(const wg::VjpCall& call) {           // a formula in ops, so that it can be differentiated again
  return {call.cotangent() * 3.0 * call.input(0) * call.input(0)};
}

wg::Op cube_op() {
  wg::Op op;
  op.name = "cube";
  op.keeps.inputs = 1;                                             // the vjp reads input 0
  op.shapes = wg::same_shape_rule;
  op.vjp = cube_vjp;
  op.batch = wg::elementwise_batch;
  op.kernels = {wg::Kernel{.run = cube_naive}};                    // more backends after it, the best last
  op.samples = [] { return std::vector<wg::Sample>{{.inputs = {{.shape = {4, 3}}}}}; };
  return op;
}

wg::Var cube(const wg::At& x) {
  static const wg::Op op = cube_op();
  return wg::apply(op, {}, x);
}

int main() {
  wg::Catalogue catalogue = wg::builtin_catalogue();
  catalogue.add(cube_op());                                        // refuses an op that lacks a part
  std::cout << wg::check_op(catalogue, "cube").text() << '\n';     // the gradient check: "pass: 9 checks"

  wg::Tape tape(catalogue);
  wg::Var x = tape.variable({1.0, 2.0, 3.0}, "x");
  auto [dx] = wg::gradients<1>(sum(cube(x)), {x});
  std::cout << dx.value() << '\n';
}
