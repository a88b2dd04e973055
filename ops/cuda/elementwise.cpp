// Elementwise ops one by one, and their chains, on backends/cuda/elementwise.hpp.
#include <wengert/backends/cuda/elementwise.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/cuda/kernels.hpp>

namespace wengert {

namespace {

using namespace cuda;

Kernel unary(Elementwise function) {
  return kernel([function](const KernelCall& call) {
    functions_of(call).elementwise.unary(queue_of(call), function, call.output(0).elements(), in(call, 0), out(call, 0));
  });
}

Kernel binary(Elementwise function) {
  return kernel([function](const KernelCall& call) {
    functions_of(call).elementwise.binary(queue_of(call), function, in(call, 0), call.input(0).shape, in(call, 1), call.input(1).shape,
                                          out(call, 0), call.output(0).shape);
  });
}

Kernel affine() {
  return kernel([](const KernelCall& call) {
    const auto& a = call.attributes.as<AffineAttributes>();
    functions_of(call).elementwise.affine(queue_of(call), a.scale, a.shift, call.output(0).elements(), in(call, 0), out(call, 0));
  });
}

Kernel power() {
  return kernel([](const KernelCall& call) {
    functions_of(call).elementwise.power(queue_of(call), call.attributes.as<PowerAttributes>().exponent, call.output(0).elements(),
                                         in(call, 0), out(call, 0));
  });
}

Kernel chain() {
  Kernel made = kernel([](const KernelCall& call) {
    std::vector<const float*> inputs;
    for (int i = 0; i < static_cast<int>(call.inputs.size()); ++i) inputs.push_back(in(call, i));
    functions_of(call).elementwise.chain(queue_of(call), call.attributes.as<Chain>(), inputs, call.output(0).shape, out(call, 0));
  });
  made.refuse = [](const OpQuery& query) { return functions_of(query).elementwise.refuse_chain(query.attributes.as<Chain>()); };
  return made;
}

}  // namespace

void add_cuda_elementwise(Catalogue& catalogue) {
  using E = Elementwise;
  for (const auto& [op, function] : {std::pair{"relu", E::relu}, std::pair{"exp", E::exp}, std::pair{"log", E::log},
                                     std::pair{"sqrt", E::sqrt}, std::pair{"tanh", E::tanh}, std::pair{"sigmoid", E::sigmoid}})
    catalogue.add_kernel(op, unary(function));
  for (const auto& [op, function] :
       {std::pair{"add", E::add}, std::pair{"subtract", E::subtract}, std::pair{"multiply", E::multiply}, std::pair{"divide", E::divide},
        std::pair{"maximum", E::maximum}, std::pair{"gate", E::gate}, std::pair{"greater_equal", E::greater_equal}})
    catalogue.add_kernel(op, binary(function));
  catalogue.add_kernel("affine", affine());
  catalogue.add_kernel("power", power());
  catalogue.add_kernel("elementwise_chain", chain());
}

}  // namespace wengert
