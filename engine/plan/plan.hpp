// Plan: a declaring tape frozen into a schedule, with kernels, layouts and memory settled. Running it allocates nothing.
#pragma once

#include <memory>
#include <vector>

#include <wengert/engine/error.hpp>
#include <wengert/engine/plan/passes.hpp>

namespace wengert {

namespace plan {
class Body;  // body.hpp
}

struct PlanOptions {
  KernelChoice kernels = {};                // auto; a backend by name switches the fusions off
  std::shared_ptr<Executor> executor = {};  // null: one worker
  const Catalogue* catalogue = nullptr;     // the ops' descriptors, with all kernels; null: as they are on the tape
  std::vector<plan::Fusion> fusions = {};   // ops/fusion/ has the built-in ones
  const Op* reorder = nullptr;              // the op that changes layouts; null: every value stays plain
  std::shared_ptr<const plan::Tuning> tuning = {};
  Device device = {};   // where it runs, and where its parameters have to live; it has to be open (engine/device.hpp)
  Index chunk = 0;      // images in a chunk; 0: as the chunk pass decides
  bool guard = true;    // stop before parameters change where something is not finite
  bool poison = false;  // overwrite dead memory with NaN: for tests
};

// What ran when: one entry a step and chunk.
struct TraceEvent {
  const plan::Step* step = nullptr;  // null: summing partial results
  const plan::Step* sums = nullptr;  // then those of this step
  int worker = 0;                    // or queue of a device
  Index chunk = -1;                  // -1: the whole batch
  std::int64_t begin = 0, end = 0;   // nanoseconds of the steady clock
};

// A guarded value of a run is not finite.
class NotFinite : public Error {
 public:
  using Error::Error;
};

// A whole training step or an inference. Parameters that the tape assigns change at every run; nothing else is visible from outside. Not for use
// by two threads at once; several plans may share parameters, one running at a time where one of them assigns.
class Plan {
 public:
  // Freezes what the outputs and the tape's assigns need. The tape may go afterwards. Throws Error on an eager tape, on an output that is not
  // on it, and where no kernel takes a step.
  Plan(const Tape& tape, const std::vector<Var>& outputs, PlanOptions options = {});
  ~Plan();
  Plan(Plan&&) noexcept;
  Plan& operator=(Plan&&) noexcept;

  // The plan's own buffer of an input (a variable or batch of the tape), to be filled before a run. It keeps its content between runs.
  View input(const Var& variable);
  void set(const Var& variable, const Tensor& value);  // copies. Throws Error on another shape or dtype.
  void set(const Var& variable, double value);         // of a scalar

  // Throws NotFinite where a guarded value is so: parameters are then as before. An exception of a kernel comes out whole.
  void run();

  View output(std::size_t index) const;   // valid until the next run
  Tensor value(std::size_t index) const;  // a copy
  double item(std::size_t index) const;   // of a scalar

  // Where a value of the graph lies between runs: inputs, constants, parameters (after a run). data is null for what lies in a worker's scratch.
  View view(plan::ValueId id) const;

  const plan::Graph& graph() const;
  const plan::Arenas& arenas() const;
  Index barriers() const;
  Index bytes() const;  // of all its memory, over all workers
  // From now on every run fills the next of `events`, as far as there are any: nothing is allocated. null stops it. On a device each run is waited for
  // and fills the events anew, with the device's own times.
  void trace(std::vector<TraceEvent>* events);
  std::size_t events_per_run() const;

 private:
  std::unique_ptr<plan::Body> body_;
};

}  // namespace wengert
