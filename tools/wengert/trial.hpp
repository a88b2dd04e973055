// Trial: one kernel in one layout in the place of a plan's step, to be timed and compared with the naive one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "replay.hpp"

namespace wengert::command {

class Trial {
 public:
  // `kernel` on the operands of the step's first chunk (of the whole batch, where it runs at once), with the reorders between the layouts in
  // which the plan has them and those that it wants. `wanted`: of output 0. `workers` of them run at once, each with outputs of its own.
  // `alone`: whatever the plan makes of the outputs, for a comparison.
  Trial(const Replay& replay, const plan::Step& step, const Kernel& kernel, Layout wanted, int workers, bool alone = false);

  const std::string& refusal() const { return refusal_; }  // why it cannot run; then nothing else is defined
  const std::string& backend() const { return backend_; }
  Layout layout() const { return prepared_->output_layout(0); }
  bool whole() const { return whole_; }

  void run(int worker) const;  // one call
  Index slices() const { return whole_ ? prepared_->slices() : 1; }
  void run_slice(Index slice) const;    // of worker 0, without the reorders
  std::vector<Tensor> plain_outputs();  // of worker 0's last call

 private:
  // A value in another layout.
  struct Move {
    const PreparedKernel* reorder;
    View from, to;
  };
  struct Worker {
    std::vector<Buffer> buffers = {};
    std::vector<Move> before = {}, after = {};
    std::vector<View> inputs = {}, outputs = {};
    void* workspace = nullptr;

    void* allocate(Index bytes);
  };
  void set_up(Worker& worker, const Replay& replay, const plan::Step& step, bool alone);
  View moved(Worker& worker, std::vector<Move>& moves, View from, Layout to, Index bytes);
  const PreparedKernel* reorder(const View& from, Layout to);
  Index bytes_of(const View& view) const;
  static void perform(const Move& move);

  const plan::Step& step_;
  std::string backend_, refusal_;
  std::shared_ptr<const PreparedKernel> prepared_;
  bool whole_;
  std::vector<std::unique_ptr<const PreparedKernel>> reorders_;
  std::vector<Worker> workers_;
};

// The largest difference between two results, as a part of the largest value of `wanted`; of integers (positions of maxima, which rounding moves
// where values are nearly equal) a tenth of the part that differs. Infinite where something is not finite.
double error_between(const std::vector<Tensor>& got, const std::vector<Tensor>& wanted);

// Of a kernel beside naive: f32 sums of some thousand terms differ by 1e-6, those of Winograd's algorithm by 1e-5.
constexpr double admitted_error = 1e-4;

// The query by which a plan has chosen a kernel for a step. The vectors are held by it.
struct StepQuery {
  StepQuery(const Replay& replay, const plan::Step& step);
  PlanQuery query(Layout wanted) const;
  std::string key() const;
  DType dtype() const;

  const plan::Graph& graph;
  const plan::Step& step;
  std::vector<plan::ValueId> sources;
  std::vector<Spec> specs;
  std::vector<Layout> layouts;
  Index capacity = 0;
  std::uint32_t batched = 0;
};

}  // namespace wengert::command
