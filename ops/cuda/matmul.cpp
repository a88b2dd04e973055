// Matrix products and linear layers, on backends/cuda/matmul.hpp.
#include <wengert/backends/cuda/matmul.hpp>
#include <wengert/ops/cuda/kernels.hpp>
#include <wengert/ops/fusion/linear.hpp>
#include <wengert/ops/matmul.hpp>
#include <wengert/ops/optimiser.hpp>

namespace wengert {

namespace {

using namespace cuda;

// Which rung is the one to take: warps for a few outputs of long sums, the vendor's product for large ones, our tiles between.
enum class Size : std::uint8_t { few, middle, large };
Size size_of_product(Index outputs, Index inner) {
  constexpr Index few_outputs = Index{1} << 11, long_sum = 64, large_product = Index{1} << 26;
  if (outputs <= few_outputs && inner >= long_sum) return Size::few;
  return outputs * inner > large_product ? Size::large : Size::middle;
}

const MatmulRung& rung_of(const MatmulFunctions& kernels, const MatmulGeometry& g) {
  switch (size_of_product(g.batch * g.rows * g.columns, g.inner)) {
    case Size::few: return kernels.warp;
    case Size::middle: return kernels.tiled;
    default: return kernels.gemm;
  }
}

const LinearRung& rung_of(const MatmulFunctions& kernels, Index outputs, Index inner) {
  switch (size_of_product(outputs, inner)) {
    case Size::few: return kernels.linear_warp;
    case Size::middle: return kernels.linear_tiled;
    default: return kernels.linear_gemm;
  }
}

MatmulGeometry geometry_of(const KernelCall& call) {
  return matmul_geometry(call.attributes.as<MatmulAttributes>(), call.input(0).shape, call.input(1).shape);
}
MatmulGeometry geometry_of(const OpQuery& query) {
  return matmul_geometry(query.attributes.as<MatmulAttributes>(), query.shape(0), query.shape(1));
}

template <MatmulRung MatmulFunctions::*rung>
Kernel rung_kernel(const char* backend) {
  Kernel made = kernel(
      [](const KernelCall& call) {
        (functions_of(call).matmul.*rung).run(queue_of(call), geometry_of(call), in(call, 0), in(call, 1), out(call, 0));
      },
      backend);
  made.refuse = [](const OpQuery& query) { return (functions_of(query).matmul.*rung).refuse(geometry_of(query)); };
  return made;
}

Kernel product() {
  Kernel made = kernel([](const KernelCall& call) {
    const MatmulGeometry g = geometry_of(call);
    rung_of(functions_of(call).matmul, g).run(queue_of(call), g, in(call, 0), in(call, 1), out(call, 0));
  });
  made.refuse = [](const OpQuery& query) {
    const MatmulGeometry g = geometry_of(query);
    return rung_of(functions_of(query).matmul, g).refuse(g);
  };
  return made;
}

// x (rows,in), w (out,in) -> y (rows,out)
LinearSizes forward_sizes(const Shape& x, const Shape& w) { return {x[0], x[1], w[0]}; }
// y (rows,out), w (out,in) -> x (rows,in)
LinearSizes data_sizes(const Shape& y, const Shape& w) { return {y[0], w[1], w[0]}; }

Kernel linear_forward() {
  Kernel made = kernel([](const KernelCall& call) {
    const auto& a = call.attributes.as<LinearAttributes>();
    const LinearSizes s = forward_sizes(call.input(0).shape, call.input(1).shape);
    rung_of(functions_of(call).matmul, s.rows * s.out, s.in)
        .forward(queue_of(call), s, in(call, 0), in(call, 1), {a.bias ? in(call, 2) : nullptr, a.relu}, out(call, 0));
  });
  made.refuse = [](const OpQuery& query) {
    const LinearSizes s = forward_sizes(query.shape(0), query.shape(1));
    return rung_of(functions_of(query).matmul, s.rows * s.out, s.in).refuse(s);
  };
  return made;
}

Kernel linear_data() {
  Kernel made = kernel([](const KernelCall& call) {
    const LinearSizes s = data_sizes(call.input(0).shape, call.input(1).shape);
    rung_of(functions_of(call).matmul, s.rows * s.in, s.out)
        .data_gate(queue_of(call), s, in(call, 0), in(call, 1), in(call, 2), out(call, 0));
  });
  made.refuse = [](const OpQuery& query) {
    const LinearSizes s = data_sizes(query.shape(0), query.shape(1));
    return rung_of(functions_of(query).matmul, s.rows * s.in, s.out).refuse(s);
  };
  return made;
}

// Inputs p, m, v, y, x, rate, correction1, correction2.
LinearSizes update_sizes(const Shape& y, const Shape& x) { return {y[0], x[1], y[1]}; }

Kernel weight_adam() {
  Kernel made = kernel([](const KernelCall& call) {
    const auto& a = call.attributes.as<AdamAttributes>();
    const AdamStep step{a.beta1, a.beta2, a.epsilon, a.weight_decay, in(call, 6), in(call, 7)};
    const AdamTensor w{
        in(call, 0), in(call, 1), in(call, 2), nullptr, in(call, 5), out(call, 0), out(call, 1), out(call, 2), call.output(0).elements()};
    functions_of(call).matmul.weight_adam(queue_of(call), update_sizes(call.input(3).shape, call.input(4).shape), step, w, in(call, 3),
                                          in(call, 4));
  });
  made.refuse = [](const OpQuery& query) {
    return functions_of(query).matmul.refuse_weight_adam(update_sizes(query.shape(3), query.shape(4)));
  };
  return made;
}

}  // namespace

void add_cuda_matmul(Catalogue& catalogue) {
  catalogue.add_kernel("matmul", rung_kernel<&MatmulFunctions::plain>("cuda-plain"));
  catalogue.add_kernel("matmul", rung_kernel<&MatmulFunctions::tiled>("cuda-tiled"));
  catalogue.add_kernel("matmul", rung_kernel<&MatmulFunctions::gemm>("cuda-gemm"));
  catalogue.add_kernel("matmul", product());
  catalogue.add_kernel("linear_fused", linear_forward());
  catalogue.add_kernel("linear_data_gate", linear_data());
  catalogue.add_kernel("linear_weight_adam", weight_adam());
}

}  // namespace wengert
