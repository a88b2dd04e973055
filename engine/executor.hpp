// Executor: runs independent tasks, and calls a kernel chunk by chunk of the batch on it.
#pragma once

#include <functional>
#include <memory>

#include <wengert/engine/device.hpp>
#include <wengert/engine/op.hpp>

namespace wengert {

// Runs body(task, worker) for every task of [0, tasks) and returns when all are done; an exception of a task comes out whole.
// worker is in [0, workers()), and no two tasks of one run() have the same worker at the same time; those of two runs at once may.
// backends/tbb has the parallel one. Safe to use from several threads.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual int workers() const = 0;
  virtual void run(Index tasks, const std::function<void(Index task, int worker)>& body) = 0;
};

// One worker: the caller.
class SerialExecutor final : public Executor {
 public:
  int workers() const override { return 1; }
  void run(Index tasks, const std::function<void(Index, int)>& body) override {
    for (Index task = 0; task < tasks; ++task) body(task, 0);
  }
};

// Images in a chunk: a function of the batch alone, so that results do not depend on the number of threads.
Index chunk_size(Index batch);

// Denormals to zero and round to nearest while it lives, for the calling thread.
class FloatEnvironment {
 public:
  explicit FloatEnvironment(bool flush_denormals);
  ~FloatEnvironment();
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;

 private:
  std::uint64_t saved_;
};

// One op call with everything decided. Outputs are allocated, uninitialised.
struct Execution {
  const Op& op;
  const Kernel& kernel;
  const Attributes& attributes;
  std::span<const Tensor> inputs;
  std::span<Tensor> outputs;
  std::uint32_t batched = 0;  // bit i: input i carries the batch
  BatchEffect effect = {};    // meaningful where batched is not 0
  bool flush_denormals = true;
  Index batch = -1;                  // images, to be cut in chunks; -1: one call on everything
  DeviceRuntime* runtime = nullptr;  // of the device on which all values live: one call on everything, on its queue
};

// Cuts the batch, calls the kernel on each chunk, and adds the partial results of a sum over images in a fixed tree.
void execute(const Execution& execution, Executor& executor);

}  // namespace wengert
