// The parallel executor, on Intel TBB.
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
