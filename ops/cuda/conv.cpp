// conv2d, conv2d_data and conv2d_weight on the rungs of backends/cuda/conv.hpp, and the fused convolutions.
#include <wengert/backends/cuda/conv.hpp>
#include <wengert/ops/conv.hpp>
#include <wengert/ops/cuda/kernels.hpp>
#include <wengert/ops/direct_kernels.hpp>

namespace wengert {

namespace {

using namespace cuda;

const ConvGeometry& geometry_of(const Attributes& attributes) { return attributes.as<ConvAttributes>().geometry; }
const FusedConv& fused_of(const Attributes& attributes) { return attributes.as<FusedConv>(); }

// The images of a call are axis 0 of its first input, in all three directions.
template <ConvRung ConvFunctions::*rung, ConvDirection ConvRung::*direction>
Kernel conv_kernel(const char* backend) {
  Kernel made = kernel(
      [](const KernelCall& call) {
        const ConvDirection& kernels = (functions_of(call).conv.*rung).*direction;
        kernels.run(queue_of(call), geometry_of(call.attributes), call.input(0).shape[0], in(call, 0), in(call, 1), out(call, 0),
                    call.workspace);
      },
      backend);
  made.refuse = [](const OpQuery& query) {
    return ((functions_of(query).conv.*rung).*direction).refuse(geometry_of(query.attributes), query.shape(0)[0]);
  };
  made.workspace = [](const OpQuery& query) {
    return ((functions_of(query).conv.*rung).*direction).workspace_bytes(geometry_of(query.attributes), query.shape(0)[0]);
  };
  return made;
}

template <ConvDirection ConvRung::*direction>
void add_rungs(Catalogue& catalogue, const char* op) {
  catalogue.add_kernel(op, conv_kernel<&ConvFunctions::cudnn, direction>("cuda-cudnn"));  // a yardstick, chosen by nobody but its name
  catalogue.add_kernel(op, conv_kernel<&ConvFunctions::plain, direction>("cuda-plain"));
  catalogue.add_kernel(op, conv_kernel<&ConvFunctions::im2col, direction>("cuda-im2col"));
  catalogue.add_kernel(op, conv_kernel<&ConvFunctions::tiled, direction>("cuda"));
}

ConvEpilogue epilogue_of(const KernelCall& call) {
  const FusedConv& conv = fused_of(call.attributes);
  return {conv.bias ? in(call, 2) : nullptr, conv.relu};
}

Kernel forward() {
  Kernel made = kernel([](const KernelCall& call) {
    const FusedConv& conv = fused_of(call.attributes);
    const ConvFused& kernels = functions_of(call).conv.fused;
    const Index images = call.input(0).shape[0];
    if (conv.pool) {
      kernels.forward_pool(queue_of(call), conv.geometry, *conv.pool, images, in(call, 0), in(call, 1), epilogue_of(call), out(call, 0),
                           call.output(1).write<std::int32_t>());
    } else {
      kernels.forward(queue_of(call), conv.geometry, images, in(call, 0), in(call, 1), epilogue_of(call), out(call, 0));
    }
  });
  made.refuse = [](const OpQuery& query) {
    const FusedConv& conv = fused_of(query.attributes);
    const ConvFunctions& kernels = functions_of(query).conv;
    return conv.pool ? kernels.fused.refuse_pool(conv.geometry, *conv.pool, query.shape(0)[0])
                     : kernels.tiled.forward.refuse(conv.geometry, query.shape(0)[0]);
  };
  return made;
}

Kernel data_gate() {
  Kernel made = kernel([](const KernelCall& call) {
    functions_of(call).conv.fused.data_gate(queue_of(call), fused_of(call.attributes).geometry, call.input(0).shape[0], in(call, 0),
                                            in(call, 1), in(call, 2), out(call, 0));
  });
  made.refuse = [](const OpQuery& query) {
    return functions_of(query).conv.tiled.data.refuse(fused_of(query.attributes).geometry, query.shape(0)[0]);
  };
  return made;
}

Kernel weight_bias() {
  Kernel made = kernel([](const KernelCall& call) {
    functions_of(call).conv.fused.weight_bias(queue_of(call), fused_of(call.attributes).geometry, call.input(0).shape[0], in(call, 0),
                                              in(call, 1), out(call, 0), out(call, 1), call.workspace);
  });
  made.refuse = [](const OpQuery& query) {
    return functions_of(query).conv.tiled.weight.refuse(fused_of(query.attributes).geometry, query.shape(0)[0]);
  };
  made.workspace = [](const OpQuery& query) {
    return functions_of(query).conv.tiled.weight.workspace_bytes(fused_of(query.attributes).geometry, query.shape(0)[0]);
  };
  return made;
}

}  // namespace

void add_cuda_conv(Catalogue& catalogue) {
  add_rungs<&ConvRung::forward>(catalogue, "conv2d");
  add_rungs<&ConvRung::data>(catalogue, "conv2d_data");
  add_rungs<&ConvRung::weight>(catalogue, "conv2d_weight");
  catalogue.add_kernel("conv2d_fused", forward());
  catalogue.add_kernel("conv2d_data_gate", data_gate());
  catalogue.add_kernel("conv2d_weight_bias", weight_bias());
}

}  // namespace wengert
