#include <wengert/backends/cuda/queue.hpp>

#include <wengert/backends/cuda/functions.hpp>

namespace wengert::cuda {

void Queue::watch(const std::vector<Watched>& values, std::int32_t* flag) { functions().guard.not_finite(*this, values, flag); }

}  // namespace wengert::cuda
