// Replay: runs a plan's steps one after the other, each value in memory of its own, so that every step's real operands can be had.
#pragma once

#include <map>
#include <vector>

#include <wengert/engine/plan/plan.hpp>

namespace wengert::command {

// Bytes in a tensor's aligned buffer, zero at first, with slack behind them for kernels that over-read.
class Buffer {
 public:
  explicit Buffer(Index bytes);
  void* data() { return tensor_.mutable_view().data; }

 private:
  Tensor tensor_;
};

class Replay {
 public:
  // Of a plan that has run: inputs and parameters are taken as they lie then. Parameters are read and not changed.
  explicit Replay(const Plan& plan);
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  const plan::Graph& graph() const { return graph_; }
  // The whole value, laid out as the plan has it.
  View value(plan::ValueId id) const;
  // Its first chunk, where it carries the batch.
  View first_chunk(plan::ValueId id) const;
  // What a step reads, behind the reorders and packings that the plan has put in front of it.
  plan::ValueId source(plan::ValueId id) const;

 private:
  void run(const plan::Step& step);
  void pack_inputs(const plan::Step& step);
  View part(plan::ValueId id, Index chunk) const;  // -1: the whole
  void* allocate(Index bytes);

  const plan::Graph& graph_;
  std::vector<void*> data_;  // of each value
  std::vector<Buffer> buffers_;
};

}  // namespace wengert::command
