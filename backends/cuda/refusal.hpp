// Sizes that a kernel does not take.
#pragma once

#include <string>

#include <wengert/backends/cuda/queue.hpp>
#include <wengert/engine/error.hpp>

namespace wengert::cuda {

// Throws Error with the queue's node where there is a refusal, "wanted ..., got ...".
inline void want(const Queue& queue, const std::string& refusal) {
  if (!refusal.empty()) fail(queue.node[0] == '\0' ? refusal : std::string(queue.node) + " " + refusal);
}

}  // namespace wengert::cuda
