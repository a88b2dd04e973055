#include <wengert/models/trace.hpp>

#include <algorithm>
#include <chrono>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <wengert/models/files/atomic_file.hpp>

namespace wengert {

std::int64_t Trace::now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Trace::begin(Plan& plan, std::int64_t from) {
  from_ = from;
  row_ = plan.graph().on_device() ? "queue" : "worker";
  events_.assign(plan.events_per_run(), TraceEvent{});
  plan.trace(&events_);
  run_ = now();
}

void Trace::end(Plan& plan, Index step) {
  const std::int64_t done = now();
  plan.trace(nullptr);
  spans_.push_back({name_id("gather the batch"), 0, -1, from_, run_});
  spans_.push_back({name_id(fmt::format("step {}", step)), 0, -1, run_, done});
  for (const TraceEvent& event : events_) {
    if (event.end == 0) continue;  // never filled
    const bool sums = event.step == nullptr;
    spans_.push_back({step_name(sums ? *event.sums : *event.step, sums), 1 + event.worker, event.chunk, event.begin, event.end});
  }
  ++steps_;
}

int Trace::name_id(const std::string& name) {
  const auto [at, added] = ids_.try_emplace(name, static_cast<int>(names_.size()));
  if (added) names_.push_back(name);
  return at->second;
}

int Trace::step_name(const plan::Step& step, bool sums) {
  return name_id((sums ? "sum of " : "") + step.op->name + (step.name.empty() ? "" : " " + step.name));
}

void Trace::save(const std::filesystem::path& path) const {
  AtomicFile file(path);
  std::int64_t origin = spans_.empty() ? 0 : spans_.front().begin;
  std::set<int> rows = {0};
  for (const Span& span : spans_) {
    origin = std::min(origin, span.begin);
    rows.insert(span.row);
  }
  const auto quoted = [](const std::string& text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  };
  std::string text = std::string(trace_beginning) + "\n";
  text += "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"tid\":0,\"args\":{\"name\":\"wengert train\"}}";
  for (const int row : rows) {
    text += fmt::format(",\n{{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":{},\"args\":{{\"name\":\"{}\"}}}}", row,
                        row == 0 ? "training loop" : fmt::format("{} {}", row_, row - 1));
  }
  std::vector<std::string> names;
  for (const std::string& name : names_) names.push_back(quoted(name));
  constexpr double microsecond = 1e3;  // the format's unit, in nanoseconds
  for (const Span& span : spans_) {
    text += fmt::format(",\n{{\"name\":{},\"ph\":\"X\",\"pid\":1,\"tid\":{},\"ts\":{:.3f},\"dur\":{:.3f}",
                        names[static_cast<std::size_t>(span.name)], span.row, static_cast<double>(span.begin - origin) / microsecond,
                        static_cast<double>(span.end - span.begin) / microsecond);
    text += span.chunk < 0 ? "}" : fmt::format(",\"args\":{{\"chunk\":{}}}}}", span.chunk);
  }
  file.write(text + "\n]}\n");
  file.commit();
}

}  // namespace wengert
