// Trace: what the first steps of a training did when, on which thread or queue of a device, as a file for chrome://tracing and ui.perfetto.dev.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <wengert/engine/plan/plan.hpp>

namespace wengert {

constexpr const char* trace_beginning = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[";  // of every saved trace

class Trace {
 public:
  explicit Trace(Index most_steps) : most_steps_(most_steps) {}

  Index steps() const { return steps_; }  // traced so far
  bool full() const { return steps_ >= most_steps_; }

  // Around one run of a plan; the plan may go afterwards. `from`: when the work for that step began (gathering the batch), in nanoseconds
  // of the steady clock. Nothing is recorded of a run that throws.
  void begin(Plan& plan, std::int64_t from);
  void end(Plan& plan, Index step);
  static std::int64_t now();

  // Written aside and renamed: one row a worker or queue, and one for the training loop around them.
  void save(const std::filesystem::path& path) const;

 private:
  struct Span {
    int name = 0, row = 0;  // row 0 is the training loop, row 1 + w is worker or queue w
    Index chunk = -1;
    std::int64_t begin = 0, end = 0;
  };
  int name_id(const std::string& name);
  int step_name(const plan::Step& step, bool sums);

  Index most_steps_, steps_ = 0;
  std::int64_t from_ = 0, run_ = 0;
  const char* row_ = "worker";
  std::vector<TraceEvent> events_;
  std::vector<std::string> names_;
  std::map<std::string, int> ids_;
  std::vector<Span> spans_;
};

}  // namespace wengert
