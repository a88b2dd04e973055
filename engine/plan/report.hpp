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
  Index bytes = 0;                      // whole, or of one chunk where it lies in scratch memory
};

struct StepRow {
  int level = 0;
  Extent extent = Extent::whole;
  std::string op = {}, name = {}, site = {}, fusion = {}, attributes = {};
  std::string kernel = {}, why = {}, detail = {};  // detail: what the kernel says of its tiles
  std::vector<ValueRow> inputs = {}, outputs = {};
  double flops = 0;                     // of one run of the whole plan; 0 where the op does not say
  Index bytes = 0;                      // read and written in one run
  std::string kept_for = {};            // the step of the backward pass for whose sake an output is kept, or empty
};

std::vector<StepRow> rows(const Plan& plan);
const char* name(Extent extent);
const char* name(Storage storage);

}  // namespace wengert::plan
