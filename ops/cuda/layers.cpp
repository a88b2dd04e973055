// Batch norm and dropout, on backends/cuda/batch_norm.hpp and dropout.hpp.
#include <wengert/backends/cuda/batch_norm.hpp>
#include <wengert/backends/cuda/dropout.hpp>
#include <wengert/ops/batch_norm.hpp>
#include <wengert/ops/cuda/kernels.hpp>
#include <wengert/ops/dropout.hpp>

namespace wengert {

namespace {

using namespace cuda;

Index batch_norm_workspace(const OpQuery& query) { return functions_of(query).batch_norm.workspace(query.shape(0)); }
double epsilon_of(const KernelCall& call) { return call.attributes.as<BatchNormAttributes>().epsilon; }

Kernel batch_norm() {
  Kernel made = kernel([](const KernelCall& call) {
    functions_of(call).batch_norm.batch_norm(queue_of(call), epsilon_of(call), call.input(0).shape, in(call, 0), in(call, 1), in(call, 2),
                                             out(call, 0), out(call, 1), out(call, 2), call.workspace);
  });
  made.workspace = batch_norm_workspace;
  return made;
}

Kernel batch_norm_gradient() {
  Kernel made = kernel([](const KernelCall& call) {
    functions_of(call).batch_norm.batch_norm_gradient(queue_of(call), epsilon_of(call), call.input(0).shape, in(call, 0), in(call, 1),
                                                      in(call, 2), in(call, 3), in(call, 4), out(call, 0), out(call, 1), out(call, 2),
                                                      call.workspace);
  });
  made.workspace = batch_norm_workspace;
  return made;
}

// A part of the batch draws the numbers of its places in the whole.
Kernel dropout() {
  return kernel([](const KernelCall& call) {
    const auto& a = call.attributes.as<DropoutAttributes>();
    const View& x = call.input(0);
    const Index first = x.shape.rank() == 0 ? 0 : call.first_image * x.shape.elements(1, x.shape.rank());
    functions_of(call).dropout.dropout(queue_of(call), {a.rate, a.seed, a.stream}, call.input(1).read<std::int32_t>(), first, x.elements(),
                                       in(call, 0), out(call, 0));
  });
}

}  // namespace

void add_cuda_layers(Catalogue& catalogue) {
  catalogue.add_kernel("batch_norm", batch_norm());
  catalogue.add_kernel("batch_norm_gradient", batch_norm_gradient());
  catalogue.add_kernel("dropout", dropout());
}

}  // namespace wengert
