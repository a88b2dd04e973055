// Sums and maxima over axes, on backends/cuda/reduce.hpp.
#include <wengert/backends/cuda/reduce.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/ops/cuda/kernels.hpp>
#include <wengert/ops/reduce.hpp>

namespace wengert {

namespace {

using namespace cuda;

using KeptShape = Shape (*)(const Attributes&, const Shape& x);

Shape kept_of_axes(const Attributes& attributes, const Shape& x) { return attributes.as<ReduceAttributes>().axes.kept_dims(x); }

// A part of the batch keeps so many images.
Shape kept_of_shape(const Attributes& attributes, const Shape& x) {
  Shape kept = attributes.as<ShapeAttributes>().shape;
  if (kept.rank() > 0 && kept.rank() == x.rank() && kept[0] != 1) kept[0] = x[0];
  return kept;
}

template <KeptShape kept>
Kernel sum() {
  Kernel made = kernel([](const KernelCall& call) {
    const Shape& x = call.input(0).shape;
    functions_of(call).reduce.sum(queue_of(call), in(call, 0), x, kept(call.attributes, x), out(call, 0), call.workspace);
  });
  made.workspace = [](const OpQuery& query) {
    return functions_of(query).reduce.sum_workspace(query.shape(0), kept(query.attributes, query.shape(0)));
  };
  return made;
}

Kernel max() {
  return kernel([](const KernelCall& call) {
    const Shape& x = call.input(0).shape;
    functions_of(call).reduce.max(queue_of(call), in(call, 0), x, kept_of_axes(call.attributes, x), out(call, 0),
                                  call.output(1).write<std::int32_t>());
  });
}

}  // namespace

void add_cuda_reduce(Catalogue& catalogue) {
  catalogue.add_kernel("sum", sum<kept_of_axes>());
  catalogue.add_kernel("sum_to", sum<kept_of_shape>());
  catalogue.add_kernel("max", max());
}

}  // namespace wengert
