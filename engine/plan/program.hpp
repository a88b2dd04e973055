// Program: a placed graph as flat lists of calls, level by level; what Plan::run() walks.
#pragma once

#include <wengert/engine/plan/graph.hpp>

namespace wengert::plan {

// One thing to do: call a kernel, add up partial sums, copy to a parameter, or pack weights.
struct Call {
  enum class Kind : std::uint8_t { kernel, sum, assign, pack };
  Kind kind = Kind::kernel;
  StepId step = -1;
  int packing = -1;               // kind pack
  std::size_t first_operand = 0;  // of Program::operands: inputs, then outputs
  std::size_t inputs = 0, outputs = 0;
};

// Calls in order that one worker makes in one go.
struct Task {
  std::size_t first = 0, count = 0;  // of Level::calls
  Index slice = -1;                  // only this piece of the one call, or -1
};

struct Level {
  std::vector<Call> chunk_calls = {};  // for each chunk
  std::vector<Call> calls = {};
  std::vector<Task> tasks = {};
  std::vector<ValueId> guarded = {};  // made by chunks and read behind the barrier: checked where parameters change later
  bool assigns = false;
};

struct Program {
  std::vector<Level> levels = {};
  std::vector<ValueId> operands = {};
};

Program compile(const Graph& graph);

}  // namespace wengert::plan
