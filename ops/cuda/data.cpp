// The batch of a training step and what it adds up, on backends/cuda/data.hpp and metrics.hpp.
#include <wengert/backends/cuda/data.hpp>
#include <wengert/backends/cuda/metrics.hpp>
#include <wengert/ops/cuda/kernels.hpp>

namespace wengert {

namespace {

using namespace cuda;

Kernel gather_batch() {
  return any_kernel([](const KernelCall& call) {
    const View& set = call.input(0);
    const DataSet data{set.read<std::uint8_t>(), call.input(1).read<std::int32_t>(), set.shape[0], set.shape.elements(1, 4)};
    functions_of(call).data.gather_images(queue_of(call), data, call.input(2).elements(), call.input(2).read<std::int32_t>(), out(call, 0),
                                          call.output(1).write<std::int32_t>());
  });
}

Kernel training_totals() {
  return kernel([](const KernelCall& call) {
    const Shape& logits = call.input(2).shape;
    functions_of(call).metrics.add_totals(queue_of(call), logits[0], logits[1], in(call, 1), in(call, 2),
                                          call.input(3).read<std::int32_t>(), in(call, 0), out(call, 0));
  });
}

}  // namespace

void add_cuda_data(Catalogue& catalogue) {
  catalogue.add_kernel("gather_batch", gather_batch());
  catalogue.add_kernel("training_totals", training_totals());
}

}  // namespace wengert
