// The CUDA kernels of the built-in ops, a file a family: adapters between a KernelCall and the functions of backends/cuda, which its queue has.
#pragma once

#include <functional>

#include <wengert/backends/cuda/functions.hpp>
#include <wengert/engine/catalogue.hpp>

namespace wengert {

// Adds them to the ops of a catalogue. They run on values that live on a CUDA device (backends/cuda/open.hpp).
void add_cuda_kernels(Catalogue& catalogue);

// The families.
void add_cuda_conv(Catalogue& catalogue);
void add_cuda_elementwise(Catalogue& catalogue);
void add_cuda_shape(Catalogue& catalogue);
void add_cuda_reduce(Catalogue& catalogue);
void add_cuda_pool(Catalogue& catalogue);
void add_cuda_softmax(Catalogue& catalogue);
void add_cuda_layers(Catalogue& catalogue);
void add_cuda_index(Catalogue& catalogue);
void add_cuda_optimiser(Catalogue& catalogue);
void add_cuda_data(Catalogue& catalogue);
void add_cuda_matmul(Catalogue& catalogue);

namespace cuda {

inline Queue& queue_of(const KernelCall& call) { return static_cast<Queue&>(*call.queue); }
inline const Functions& functions_of(const KernelCall& call) { return queue_of(call).functions(); }
const Functions& functions_of(const OpQuery& query);  // for refusals and workspaces

// A kernel of f32 values on a CUDA device, of the backend "cuda" or another name.
Kernel kernel(std::function<void(const KernelCall&)> run, const char* backend = "cuda");
// The same for values of f32, i32 and u8.
Kernel any_kernel(std::function<void(const KernelCall&)> run);

inline const float* in(const KernelCall& call, int i) { return call.input(i).read<float>(); }
inline float* out(const KernelCall& call, int o) { return call.output(o).write<float>(); }

}  // namespace cuda

}  // namespace wengert
