// Whether updates are to do nothing.
#pragma once

#include <wengert/backends/cuda/thread.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

// The queue's flag holds the number of a value that was not finite: parameters and totals stay as they are.
WENGERT_DEVICE bool stopped(const Global<const std::int32_t>& flag) { return flag.given() && flag.load(0) != Queue::none_bad; }

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
