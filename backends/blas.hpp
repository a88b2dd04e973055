// The BLAS behind the matrix and im2col kernels: single-threaded matrix products through xtensor-blas over OpenBLAS.
#pragma once

#include <wengert/engine/types.hpp>

namespace wengert::blas {

// c (rows,columns) = alpha a (rows,inner) b (inner,columns) + beta c, all row-major. An operand with its transpose flag is
// stored the other way round. A pitch is the distance between stored rows in elements; 0 means dense rows.
struct Product {
  Index rows = 0, inner = 0, columns = 0;
  bool transpose_a = false, transpose_b = false;
  Index a_pitch = 0, b_pitch = 0, c_pitch = 0;
};

// Holds OpenBLAS at one thread while any of these lives, in any thread of the process: our threads come from the executor, and
// the result must not depend on their number. The last one to end restores the application's setting. Nests; a few
// nanoseconds. Products exist only as its member, so that none can run without it.
class SingleThread {
 public:
  SingleThread();
  ~SingleThread();
  SingleThread(const SingleThread&) = delete;
  SingleThread& operator=(const SingleThread&) = delete;

  // T is float or double. With beta 0 the old c is not read. Throws Error where a size does not fit BLAS's 32-bit integers.
  template <class T>
  void gemm(const Product& product, T alpha, const T* a, const T* b, T beta, T* c) const;
};

// The processor that OpenBLAS has chosen its kernels for, such as "Haswell": goes with every benchmark.
const char* core_name();

}  // namespace wengert::blas
