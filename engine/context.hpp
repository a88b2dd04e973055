// Scopes: what holds for the calls of this thread until the scope ends (recording, kernel choice, executor, phase, denormals).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <wengert/engine/catalogue.hpp>
#include <wengert/engine/executor.hpp>
#include <wengert/engine/op.hpp>

namespace wengert {

namespace plan {
struct Tuning;
}

struct Context {
  bool recording = true;
  KernelChoice choice = {};
  std::shared_ptr<Executor> executor = {};          // null: one worker
  std::shared_ptr<const plan::Tuning> tuning = {};  // for plans of inference
  const Catalogue* catalogue = nullptr;             // of a reverse sweep, for its calls on values that are on no tape
  bool flush_denormals = true;
  bool training = false;   // layers such as dropout and batch norm act as in training
  std::uint64_t seed = 0;  // of the random numbers of such layers
  Var step = {};           // i32 scalar: the training step that indexes them

  // This thread's. A new thread starts with the process-wide defaults.
  static Context& current();
};

// Defaults for threads that have not made their Context yet, and for the calling thread from now on.
void set_default_kernel(const std::string& choice);  // "auto", "im2col", "im2col,auto"
void set_default_executor(std::shared_ptr<Executor> executor);

// What one eager call runs with in place of its scope's: At::with(). A plan chooses for itself.
struct CallChoice {
  std::string kernel = {};                  // "im2col", "im2col,auto"; empty: the scope's
  std::shared_ptr<Executor> executor = {};  // of so many threads: backends/tbb; null: the scope's
};

// Restores the whole Context when it ends.
class Scope {
 public:
  Scope() : saved_(Context::current()) {}
  ~Scope() { Context::current() = saved_; }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Context saved_;
};

struct NoRecording : Scope {
  NoRecording() { Context::current().recording = false; }
};
struct KernelScope : Scope {
  explicit KernelScope(const std::string& choice) { Context::current().choice = KernelChoice::parse(choice); }
};
struct ExecutorScope : Scope {
  explicit ExecutorScope(std::shared_ptr<Executor> executor) { Context::current().executor = std::move(executor); }
};
struct TrainingScope : Scope {
  TrainingScope(std::uint64_t seed, Var step) {
    Context::current().training = true;
    Context::current().seed = seed;
    Context::current().step = std::move(step);
  }
};
struct EvaluationScope : Scope {
  EvaluationScope() { Context::current().training = false; }
};
// Subnormal numbers are computed with, as the gradient check wants.
struct KeepDenormals : Scope {
  KeepDenormals() { Context::current().flush_denormals = false; }
};

}  // namespace wengert
