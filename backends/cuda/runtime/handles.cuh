// Owners of what CUDA and cuBLAS hand out.
#pragma once

#include <memory>

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

namespace wengert::cuda {

template <auto destroy>
struct Destroy {
  template <class T>
  void operator()(T* handle) const noexcept {
    destroy(handle);
  }
};

using OwnedStream = std::unique_ptr<CUstream_st, Destroy<cudaStreamDestroy>>;
using OwnedEvent = std::unique_ptr<CUevent_st, Destroy<cudaEventDestroy>>;
using OwnedPool = std::unique_ptr<CUmemPoolHandle_st, Destroy<cudaMemPoolDestroy>>;
using OwnedGraph = std::unique_ptr<CUgraph_st, Destroy<cudaGraphDestroy>>;
using OwnedGraphExec = std::unique_ptr<CUgraphExec_st, Destroy<cudaGraphExecDestroy>>;
using OwnedBlas = std::unique_ptr<cublasContext, Destroy<cublasDestroy>>;

}  // namespace wengert::cuda
