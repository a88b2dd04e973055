#include <wengert/backends/blas.hpp>

#include <algorithm>
#include <complex>  // cxxblas does not include it itself
#include <limits>
#include <mutex>

#include <fmt/format.h>
#include <xtensor-blas/xblas_config.hpp>  // before cxxblas: makes it call the BLAS library

#include <xflens/cxxblas/cxxblas.cxx>

#include <wengert/engine/error.hpp>

// cblas.h declares these beside prototypes that cxxblas declares differently, so the two headers do not go together.
extern "C" {
void openblas_set_num_threads(int threads);
int openblas_get_num_threads(void);
char* openblas_get_corename(void);
}

namespace wengert::blas {
namespace {

std::mutex guards_mutex;
int guards = 0;
int threads_before = 1;

int to_blas(Index size) {
  if (size > std::numeric_limits<int>::max()) fail(fmt::format("[blas] wanted a matrix whose sizes fit 32 bits, got a size of {}", size));
  return static_cast<int>(size);
}

}  // namespace

SingleThread::SingleThread() {
  const std::lock_guard lock(guards_mutex);
  if (guards++ > 0) return;
  threads_before = openblas_get_num_threads();
  if (threads_before != 1) openblas_set_num_threads(1);
}

SingleThread::~SingleThread() {
  const std::lock_guard lock(guards_mutex);
  if (--guards > 0 || threads_before == 1) return;
  // An application that changed the setting meanwhile keeps its new one.
  if (openblas_get_num_threads() == 1) openblas_set_num_threads(threads_before);
}

template <class T>
void SingleThread::gemm(const Product& p, T alpha, const T* a, const T* b, T beta, T* c) const {
  if (p.rows == 0 || p.columns == 0) return;
  const Index a_pitch = p.a_pitch != 0 ? p.a_pitch : p.transpose_a ? p.rows : p.inner;
  const Index b_pitch = p.b_pitch != 0 ? p.b_pitch : p.transpose_b ? p.inner : p.columns;
  const Index c_pitch = p.c_pitch != 0 ? p.c_pitch : p.columns;
  if (p.inner == 0) {  // BLAS takes no pitch of 0
    for (Index i = 0; i < p.rows; ++i)
      std::transform(c + i * c_pitch, c + i * c_pitch + p.columns, c + i * c_pitch,
                     [beta](T old) { return beta == T{0} ? T{0} : beta * old; });
    return;
  }
  cxxblas::gemm<int>(cxxblas::RowMajor, p.transpose_a ? cxxblas::Trans : cxxblas::NoTrans,
                     p.transpose_b ? cxxblas::Trans : cxxblas::NoTrans, to_blas(p.rows), to_blas(p.columns), to_blas(p.inner), alpha, a,
                     to_blas(a_pitch), b, to_blas(b_pitch), beta, c, to_blas(c_pitch));
}

template void SingleThread::gemm(const Product&, float, const float*, const float*, float, float*) const;
template void SingleThread::gemm(const Product&, double, const double*, const double*, double, double*) const;

const char* core_name() { return openblas_get_corename(); }

}  // namespace wengert::blas
