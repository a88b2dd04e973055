// The direct kernels of optimiser updates; in place where a plan lets the outputs lie in the inputs.
#include <algorithm>

#include <wengert/backends/direct/matmul.hpp>
#include <wengert/ops/direct_kernels.hpp>
#include <wengert/ops/optimiser.hpp>

namespace wengert {

namespace {

float scalar(const KernelCall& call, int input) { return *call.input(input).read<float>(); }

void take_over(const KernelCall& call, int values) {
  for (int o = 0; o < values; ++o) {
    const View &from = call.input(o), &to = call.output(o);
    if (from.data != to.data) std::copy_n(from.read<float>(), from.elements(), to.write<float>());
  }
}

void run_adam(const KernelCall& call) {
  take_over(call, 3);
  direct::adam(direct_adam_step(call.attributes, scalar(call, 4), scalar(call, 5), scalar(call, 6)), call.input(3).elements(),
               call.input(3).read<float>(), call.output(0).write<float>(), call.output(1).write<float>(), call.output(2).write<float>());
}

void run_sgd(const KernelCall& call) {
  take_over(call, 2);
  const auto& a = call.attributes.as<SgdAttributes>();
  direct::sgd(scalar(call, 3), static_cast<float>(a.momentum), static_cast<float>(a.weight_decay), call.input(2).elements(),
              call.input(2).read<float>(), call.output(0).write<float>(), call.output(1).write<float>());
}

Kernel update_kernel(void (*run)(const KernelCall&)) {
  Kernel kernel;
  kernel.backend = "direct";
  kernel.dtypes = {DType::f32};
  kernel.run = run;
  return kernel;
}

}  // namespace

direct::AdamStep direct_adam_step(const Attributes& attributes, float rate, float correction1, float correction2) {
  const auto& a = attributes.as<AdamAttributes>();
  direct::AdamStep step;
  step.beta1 = a.beta1, step.beta2 = a.beta2;
  step.epsilon = static_cast<float>(a.epsilon);
  step.rate = rate, step.correction1 = correction1, step.correction2 = correction2;
  step.decay = static_cast<float>(a.weight_decay);
  return step;
}

Kernel direct_adam_kernel() { return update_kernel(run_adam); }
Kernel direct_sgd_kernel() { return update_kernel(run_sgd); }

}  // namespace wengert
