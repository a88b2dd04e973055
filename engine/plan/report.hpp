// What a plan says about itself before anything runs: one row a step, for `wengert plan`.
#pragma once

#include <string>
#include <vector>

#include <wengert/engine/plan/plan.hpp>

namespace wengert::plan {

struct ValueRow {
  ValueId id = -1;
  std::string name = {};
  Spec spec = {};
  Layout layout = Layout::nchw;
  Storage storage = Storage::none;
  bool batched = false;       // axis 0 is the batch
  Index bytes = 0;            // whole, or of one chunk where it lies in scratch memory
  std::string kept_for = {};  // of a step's output: the first step of the backward pass for whose sake it is kept, or empty
};

struct StepRow {
  StepId id = -1;  // in the plan's graph
  int level = 0;
  Extent extent = Extent::whole;
  std::string op = {}, name = {}, site = {}, fusion = {}, attributes = {};
  std::string kernel = {}, why = {}, detail = {};  // detail: what the kernel says of its tiles
  std::vector<ValueRow> inputs = {}, outputs = {};
  bool backward = false;  // of the reverse sweep
  bool alias = false;     // runs no kernel: a reshape, or an assign of what lies in its parameter already
  double flops = 0;       // of one run of the whole plan; 0 where the op does not say
  Index bytes = 0;        // read and written in one run, caches or not; weights once a chunk
};

// In the order in which they run.
std::vector<StepRow> rows(const Plan& plan);
const char* name(Extent extent);
const char* name(Storage storage);

}  // namespace wengert::plan
