// Rung "... + threads" of every kernel: the executor on Intel TBB. Kernels know no threads; this runs them on chunks of the batch, each a task
// that any idle worker takes. Times itself through any kernel, beside one thread:
//   wengert bench conv --kernel im2col --shape 64,8,24,24,8,5,5 --threads 2
#pragma once

#include <memory>

#include <wengert/engine/executor.hpp>

namespace wengert {

// threads 0: as many as the machine (or the caller's TBB arena) has; 1: the calling thread alone. More threads than cores are
// really started. Throws Error for a negative number.
std::shared_ptr<Executor> tbb_executor(int threads);

// The executor of this thread and of threads to come.
void set_threads(int threads);

}  // namespace wengert
