// Adam and SGD, on backends/cuda/optimiser.hpp: all parameters of a level in one launch.
#include <algorithm>

#include <wengert/backends/cuda/optimiser.hpp>
#include <wengert/ops/cuda/kernels.hpp>
#include <wengert/ops/optimiser.hpp>

namespace wengert {

namespace {

using namespace cuda;

AdamStep step_of(const KernelCall& call) {
  const auto& a = call.attributes.as<AdamAttributes>();
  return {a.beta1, a.beta2, a.epsilon, a.weight_decay, in(call, 5), in(call, 6)};
}
AdamTensor tensor_of(const AdamStep& /*step*/, const KernelCall& call) {
  return {
      in(call, 0), in(call, 1), in(call, 2), in(call, 3), in(call, 4), out(call, 0), out(call, 1), out(call, 2), call.output(0).elements()};
}

SgdStep sgd_step_of(const KernelCall& call) {
  const auto& a = call.attributes.as<SgdAttributes>();
  return {a.momentum, a.weight_decay};
}
SgdTensor tensor_of(const SgdStep& /*step*/, const KernelCall& call) {
  return {in(call, 0), in(call, 1), in(call, 2), in(call, 3), out(call, 0), out(call, 1), call.output(0).elements()};
}

// Calls with the same settings go into one launch.
template <class Entry, auto step_of_call, auto function>
Kernel update() {
  Kernel made = kernel([](const KernelCall& call) {
    const auto step = step_of_call(call);
    const Entry one[] = {tensor_of(step, call)};
    (functions_of(call).optimiser.*function)(queue_of(call), step, std::span<const Entry>(one));
  });
  made.run_together = [](std::span<const KernelCall> calls) {
    std::vector<bool> done(calls.size(), false);
    for (std::size_t first = 0; first < calls.size(); ++first) {
      if (done[first]) continue;
      const auto step = step_of_call(calls[first]);
      std::vector<Entry> tensors;
      for (std::size_t i = first; i < calls.size(); ++i) {
        if (done[i] || !(step_of_call(calls[i]) == step)) continue;
        tensors.push_back(tensor_of(step, calls[i]));
        done[i] = true;
      }
      (functions_of(calls[first]).optimiser.*function)(queue_of(calls[first]), step, std::span<const Entry>(tensors));
    }
  };
  return made;
}

}  // namespace

void add_cuda_optimiser(Catalogue& catalogue) {
  catalogue.add_kernel("adam", update<AdamTensor, step_of, &OptimiserFunctions::adam>());
  catalogue.add_kernel("sgd", update<SgdTensor, sgd_step_of, &OptimiserFunctions::sgd>());
}

}  // namespace wengert
