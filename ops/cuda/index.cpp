// Reading and adding at integer positions, on backends/cuda/index.hpp. A position outside its range gives NaN, where the host's kernels throw.
#include <wengert/backends/cuda/index.hpp>
#include <wengert/ops/cuda/kernels.hpp>
#include <wengert/ops/index.hpp>

namespace wengert {

namespace {

using namespace cuda;

GatherSizes sizes_of(const Shape& x, int axis, Index count) {
  return {x.elements(0, axis), x[axis], x.elements(axis + 1, x.rank()), count};
}

Kernel gather() {
  return any_kernel([](const KernelCall& call) {
    const View &x = call.input(0), &indices = call.input(1);
    functions_of(call).index.gather(queue_of(call), x.dtype,
                                    sizes_of(x.shape, call.attributes.as<GatherAttributes>().axis, indices.elements()), x.data,
                                    indices.read<std::int32_t>(), call.output(0).data);
  });
}

Kernel scatter_add() {
  return kernel([](const KernelCall& call) {
    const View& indices = call.input(1);
    functions_of(call).index.scatter_add(queue_of(call),
                                         sizes_of(call.output(0).shape, call.attributes.as<GatherAttributes>().axis, indices.elements()),
                                         in(call, 0), indices.read<std::int32_t>(), out(call, 0));
  });
}

Kernel one_hot() {
  return kernel([](const KernelCall& call) {
    const View& classes = call.input(0);
    functions_of(call).index.one_hot(queue_of(call), classes.elements(), call.attributes.as<OneHotAttributes>().count,
                                     classes.read<std::int32_t>(), out(call, 0));
  });
}

AlongSizes along(const View& x, const View& positions, const KernelCall& call) {
  const int leading = call.attributes.as<AlongAttributes>().leading;
  const Index rows = x.shape.elements(0, leading);
  return {rows, x.shape.elements(leading, x.shape.rank()), rows == 0 ? 0 : positions.elements() / rows};
}

Kernel take_along() {
  return kernel([](const KernelCall& call) {
    const View& positions = call.input(1);
    functions_of(call).index.take_along(queue_of(call), along(call.input(0), positions, call), in(call, 0), positions.read<std::int32_t>(),
                                        out(call, 0));
  });
}

Kernel put_along() {
  return kernel([](const KernelCall& call) {
    const View& positions = call.input(1);
    functions_of(call).index.put_along(queue_of(call), along(call.output(0), positions, call), in(call, 0), positions.read<std::int32_t>(),
                                       out(call, 0));
  });
}

}  // namespace

void add_cuda_index(Catalogue& catalogue) {
  catalogue.add_kernel("gather", gather());
  catalogue.add_kernel("scatter_add", scatter_add());
  catalogue.add_kernel("one_hot", one_hot());
  catalogue.add_kernel("take_along", take_along());
  catalogue.add_kernel("put_along", put_along());
}

}  // namespace wengert
