// What kernels ask of a CUDA queue beyond what the engine does: a matrix product by the vendor's library, and whether to stop.
#pragma once

#include <wengert/engine/device.hpp>

namespace wengert::cuda {

// c (batch,rows,columns) = alpha a (batch,rows,inner) b (batch,inner,columns) + beta c, all row-major f32. An operand with its transpose flag is
// stored the other way round. A pitch is the distance between stored rows in elements; a step that between the batch's matrices, 0: shared.
struct Product {
  Index batch = 1, rows = 0, inner = 0, columns = 0;
  bool transpose_a = false, transpose_b = false;
  Index a_pitch = 0, b_pitch = 0, c_pitch = 0;
  Index a_step = 0, b_step = 0, c_step = 0;
};

struct Functions;  // functions.hpp

class Queue : public DeviceQueue {
 public:
  virtual const Functions& functions() const = 0;  // the kernels, compiled for where this queue works

  void watch(const std::vector<Watched>& values, std::int32_t* flag) final;
  void copy_unless_stopped(void* to, const void* from, Index bytes) final;

  // cuBLAS on the device (f32 throughout, no TF32), a reference product on the host. With beta 0 the old c is not read.
  virtual void gemm(const Product& product, float alpha, const float* a, const float* b, float beta, float* c) = 0;
};

// How a kernel is launched: so many blocks of so many threads, each block with so many bytes of shared memory.
struct Grid {
  Index blocks = 1;
  int threads = 1;
  int shared_bytes = 0;
};

// What goes through memory at once.
struct alignas(16) Four {
  float x, y, z, w;
};

constexpr int warp_size = 32;
constexpr int most_threads = 1024;        // of a block
constexpr int most_shared_bytes = 49152;  // of a block, on every device

constexpr Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }

}  // namespace wengert::cuda
