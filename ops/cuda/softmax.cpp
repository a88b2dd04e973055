// Softmax and cross-entropy, on backends/cuda/softmax.hpp.
#include <wengert/backends/cuda/softmax.hpp>
#include <wengert/ops/cuda/kernels.hpp>

namespace wengert {

namespace {

using namespace cuda;

struct Rows {
  Index rows, classes;
};
Rows rows_of(const View& x) {
  const Index classes = x.shape[x.shape.rank() - 1];
  return {x.elements() / classes, classes};
}

template <auto function>
Kernel row_kernel() {
  return kernel([](const KernelCall& call) {
    const Rows r = rows_of(call.input(0));
    (functions_of(call).softmax.*function)(queue_of(call), r.rows, r.classes, in(call, 0), out(call, 0));
  });
}

Kernel cross_entropy() {
  return kernel([](const KernelCall& call) {
    const Rows r = rows_of(call.input(0));
    const SoftmaxFunctions& kernels = functions_of(call).softmax;
    const View& labels = call.input(1);
    if (labels.dtype == DType::i32) {
      kernels.cross_entropy(queue_of(call), r.rows, r.classes, in(call, 0), labels.read<std::int32_t>(), out(call, 0), out(call, 1));
    } else {
      kernels.soft_cross_entropy(queue_of(call), r.rows, r.classes, in(call, 0), labels.read<float>(), out(call, 0), out(call, 1));
    }
  });
}

Kernel cross_entropy_gradient() {
  return kernel([](const KernelCall& call) {
    const Rows r = rows_of(call.input(0));
    functions_of(call).softmax.cross_entropy_gradient(queue_of(call), r.rows, r.classes, in(call, 0), call.input(1).read<std::int32_t>(),
                                                      in(call, 2), out(call, 0), out(call, 1));
  });
}

}  // namespace

void add_cuda_softmax(Catalogue& catalogue) {
  catalogue.add_kernel("softmax", row_kernel<&SoftmaxFunctions::softmax>());
  catalogue.add_kernel("log_softmax", row_kernel<&SoftmaxFunctions::log_softmax>());
  catalogue.add_kernel("softmax_cross_entropy", cross_entropy());
  catalogue.add_kernel("softmax_cross_entropy_fused", cross_entropy_gradient());
}

}  // namespace wengert
