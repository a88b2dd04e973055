// Stream::gemm(): row-major products by cuBLAS, whose matrices are column-major: c^T = b^T a^T.
#include <algorithm>

#include <wengert/backends/cuda/runtime/runtime.cuh>
#include <wengert/engine/error.hpp>

namespace wengert::cuda {
namespace {

// cuBLAS Library, cublasSetWorkspace(): 32 MiB from Hopper on, 4 MiB before.
constexpr int hopper = 9;
constexpr Index large_workspace = Index{32} << 20, small_workspace = Index{4} << 20;

// An operand whose stored matrix has so many rows and columns.
Index leading(const Caller& caller, const char* operand, Index rows, Index columns, Index pitch) {
  if (rows <= 1) return std::max<Index>(1, columns);
  if (pitch < columns) {
    fail(caller.text() + " wanted a pitch of " + std::to_string(columns) + " or more for a product's operand " + operand + ", got " +
         std::to_string(pitch));
  }
  return std::max<Index>(1, pitch);
}

}  // namespace

// Eager calls of several threads share a queue.
cublasHandle_t Stream::blas() {
  runtime_.make_current();
  const std::lock_guard lock(runtime_.mutex());
  if (blas_) return blas_.get();
  OwnedBlas handle = runtime_.kept_blas();
  if (!handle) {
    cublasHandle_t created = nullptr;
    check(cublasCreate(&created), caller(), "a handle of cuBLAS");
    handle.reset(created);
  }
  const cublasHandle_t made = handle.get();
  const Index bytes = runtime_.major() >= hopper ? large_workspace : small_workspace;
  check(cublasSetStream(made, stream_.get()), caller(), "cuBLAS on a stream");  // takes the workspace away, so it comes first
  if (blas_workspace_ == nullptr) blas_workspace_ = runtime_.allocate(bytes);
  check(cublasSetWorkspace(made, blas_workspace_, static_cast<std::size_t>(bytes)), caller(), "a workspace for cuBLAS");
  check(cublasSetMathMode(made, CUBLAS_DEFAULT_MATH), caller(), "cuBLAS in f32");  // no TF32
  check(cublasSetAtomicsMode(made, CUBLAS_ATOMICS_NOT_ALLOWED), caller(), "cuBLAS without atomics");
  blas_ = std::move(handle);
  return made;
}

void Stream::gemm(const Product& p, float alpha, const float* a, const float* b, float beta, float* c) {
  if (p.batch <= 0 || p.rows <= 0 || p.columns <= 0) return;
  const Caller who = caller();
  const Index a_pitch = leading(who, "a", p.transpose_a ? p.inner : p.rows, p.transpose_a ? p.rows : p.inner, p.a_pitch);
  const Index b_pitch = leading(who, "b", p.transpose_b ? p.columns : p.inner, p.transpose_b ? p.inner : p.columns, p.b_pitch);
  const Index c_pitch = leading(who, "c", p.rows, p.columns, p.c_pitch);
  const cublasOperation_t of_a = p.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, of_b = p.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasHandle_t handle = blas();
  for_work();  // the handle is on this stream
  const cublasStatus_t status =
      p.batch == 1 ? cublasSgemm_64(handle, of_b, of_a, p.columns, p.rows, p.inner, &alpha, b, b_pitch, a, a_pitch, &beta, c, c_pitch)
                   : cublasSgemmStridedBatched_64(handle, of_b, of_a, p.columns, p.rows, p.inner, &alpha, b, b_pitch, p.b_step, a, a_pitch,
                                                  p.a_step, &beta, c, c_pitch, p.c_step, p.batch);
  check(status, who, "a matrix product");
}

}  // namespace wengert::cuda
