#include <wengert/backends/cuda/queue.hpp>

#include <wengert/backends/cuda/functions.hpp>

namespace wengert::cuda {

void Queue::watch(const std::vector<Watched>& values, std::int32_t* flag) { functions().guard.not_finite(*this, values, flag); }

void Queue::copy_unless_stopped(void* to, const void* from, Index bytes) {
  if (stop_flag == nullptr) copy(to, from, bytes);
  else functions().guard.copy_unless_stopped(*this, bytes, from, to);
}

}  // namespace wengert::cuda
