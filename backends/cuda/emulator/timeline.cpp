#include <wengert/backends/cuda/emulator/timeline.hpp>

#include <algorithm>

#include <wengert/engine/error.hpp>

namespace wengert::cuda::emulated {
namespace {

bool reached(const Mark& mark) { return mark.lane == nullptr || mark.lane->done >= mark.position; }

bool ready(const Lane& lane) { return !lane.steps.empty() && reached(lane.steps.front().until); }

// Which nodes are done when these are.
std::vector<bool> with_all_before(const Graph& graph, const std::vector<std::size_t>& last) {
  std::vector<bool> covered(graph.nodes.size(), false);
  for (const std::size_t node : last) covered[node] = true;
  for (std::size_t node = graph.nodes.size(); node-- > 0;) {
    if (!covered[node]) continue;
    for (const std::size_t before : graph.nodes[node].after) covered[before] = true;
  }
  return covered;
}

}  // namespace

LanePointer Timeline::make_lane() {
  std::erase_if(lanes_, [](const LanePointer& lane) { return lane.use_count() == 1 && lane->steps.empty(); });
  lanes_.push_back(std::make_shared<Lane>());
  return lanes_.back();
}

void Timeline::leave(const LanePointer& lane) {
  if (const std::shared_ptr<Capture> capture = lane->capture; capture && capture->origin == lane.get()) close(*capture);
}

void Timeline::give(const LanePointer& lane, Work work) {
  if (!lane->capture) return push(lane, {.work = std::move(work)});
  Capture& capture = *lane->capture;
  if (!capture.broken.empty()) fail_capture(capture, capture.broken);
  capture.graph->nodes.push_back({std::move(work), lane->last});
  lane->last = {capture.graph->nodes.size() - 1};
}

Mark Timeline::mark(const LanePointer& lane) const {
  return lane->capture ? Mark{lane, 0, lane->capture, lane->last} : Mark{lane, lane->given};
}

void Timeline::wait_for(const LanePointer& lane, const Mark& mark) {
  if (!mark.capture) {
    if (lane->capture) fail_capture(*lane->capture, "a captured queue waits for an event from before the capture");
    if (mark.lane != lane) push(lane, {.until = mark});
    return;
  }
  if (!mark.capture->open) fail(who_ + " wanted an event to wait for, got one that was recorded in a capture that is over");
  if (lane->capture && lane->capture != mark.capture)
    fail_capture(*lane->capture, "a captured queue waits for an event of another capture");
  if (!mark.capture->broken.empty()) fail_capture(*mark.capture, mark.capture->broken);
  if (!lane->capture) {
    lane->capture = mark.capture;
    lane->last.clear();
    mark.capture->lanes.push_back(lane);
  }
  for (const std::size_t node : mark.nodes) {
    if (std::find(lane->last.begin(), lane->last.end(), node) == lane->last.end()) lane->last.push_back(node);
  }
}

void Timeline::finish(const Mark& mark, const std::string& call) {
  if (mark.capture && mark.capture->open) fail_capture(*mark.capture, call + " during a capture");
  if (mark.capture) fail(who_ + " " + call + ": wanted an event, got one that was recorded in a capture");
  refuse_captured(mark.lane, call);
  if (kept_) std::rethrow_exception(std::exchange(kept_, nullptr));
  go_to(mark);
}

void Timeline::finish_all() noexcept {
  try {
    for (std::size_t i = 0; i < lanes_.size(); ++i) go_to({lanes_[i], lanes_[i]->given});
  } catch (...) {
    keep(std::current_exception());
  }
}

void Timeline::keep(std::exception_ptr error) {
  if (!kept_) kept_ = std::move(error);
}

void Timeline::after_all(Work work) {
  Later later{{}, std::move(work)};
  for (const LanePointer& lane : lanes_) {
    if (lane->done < lane->given) later.marks.push_back({lane, lane->given});
  }
  later_.push_back(std::move(later));
  settle();
}

void Timeline::begin_capture(const LanePointer& lane) {
  if (lane->capture) fail_capture(*lane->capture, "begin_capture() during a capture");
  lane->capture = std::make_shared<Capture>();
  lane->capture->origin = lane.get();
  lane->capture->lanes.push_back(lane);
  lane->last.clear();
  captures_.push_back(lane->capture);
}

std::unique_ptr<DeviceRecording> Timeline::end_capture(const LanePointer& lane) {
  if (!lane->capture) fail(who_ + " end_capture(): wanted a queue that is captured");
  const std::shared_ptr<Capture> capture = lane->capture;
  if (capture->origin != lane.get()) fail_capture(*capture, "end_capture() of another queue than began it");
  const std::vector<bool> joined = with_all_before(*capture->graph, lane->last);
  if (capture->broken.empty() && std::find(joined.begin(), joined.end(), false) != joined.end()) {
    capture->broken = "a queue that joined it was not waited for before the end";
  }
  close(*capture);
  if (!capture->broken.empty()) fail(who_ + " the capture failed: " + capture->broken);
  auto recording = std::make_unique<Recording>();
  recording->graph = capture->graph;
  return recording;
}

void Timeline::replay(const LanePointer& lane, const DeviceRecording& recording) {
  refuse_captured(lane, "replay()");
  const auto* const own = dynamic_cast<const Recording*>(&recording);
  if (own == nullptr) fail(who_ + " replay(): wanted a recording of an emulated device");
  Graph& graph = *own->graph;
  if (!reached(graph.replayed) && graph.replayed.lane != lane) push(lane, {.until = graph.replayed});
  graph.replayed = {lane, lane->given + 1};
  push(lane, {.graph = own->graph, .done = std::vector<bool>(graph.nodes.size(), false)});
}

bool Timeline::break_captures(const std::string& call) {
  for (const auto& capture : captures_) {
    if (capture->broken.empty()) capture->broken = call + " during a capture";
  }
  return !captures_.empty();
}

void Timeline::refuse_captured(const LanePointer& lane, const std::string& call) {
  if (lane->capture) fail_capture(*lane->capture, call + " during a capture");
}

void Timeline::push(const LanePointer& lane, Step step) {
  lane->steps.push_back(std::move(step));
  ++lane->given;
  if (eager_) go_to({lane, lane->given});
}

void Timeline::fail_capture(Capture& capture, const std::string& why) {
  if (capture.broken.empty()) capture.broken = why;
  fail(who_ + " the capture failed: " + capture.broken);
}

void Timeline::close(Capture& capture) {
  capture.open = false;
  for (const auto& each : capture.lanes) {
    if (const LanePointer lane = each.lock(); lane && lane->capture.get() == &capture) lane->capture = nullptr;
  }
  std::erase_if(captures_, [&capture](const auto& each) { return each.get() == &capture; });
}

void Timeline::go_to(const Mark& mark) {
  try {
    if (schedule_.order() == Order::forward) return go_as_needed(mark);
    while (!reached(mark)) advance(*pick(*mark.lane));
  } catch (...) {
    drop_all();
    throw;
  }
}

void Timeline::go_as_needed(const Mark& mark) {
  std::vector<Mark> wanted{mark};  // each is needed for the one before it
  while (!wanted.empty()) {
    Lane& lane = *wanted.back().lane;
    if (reached(wanted.back())) wanted.pop_back();
    else if (ready(lane)) advance(lane);
    else wanted.push_back(lane.steps.front().until);
  }
}

// A lane that can go on. There is one: events lie before the waits for them.
Lane* Timeline::pick(Lane& wanted) {
  std::vector<Lane*> able;
  for (const LanePointer& lane : lanes_) {
    if (lane.get() != &wanted && ready(*lane)) able.push_back(lane.get());
  }
  if (schedule_.order() == Order::shuffled) {
    if (ready(wanted)) able.push_back(&wanted);
    return able[schedule_.below(able.size())];
  }
  return able.empty() ? &wanted : able.back();
}

void Timeline::advance(Lane& lane) {
  if (!advance(lane.steps.front())) return;
  lane.steps.pop_front();
  ++lane.done;
  settle();
}

void Timeline::settle() {
  while (!later_.empty() && std::all_of(later_.front().marks.begin(), later_.front().marks.end(), reached)) {
    const Work work = std::move(later_.front().work);
    later_.pop_front();
    work();
  }
}

// Whether the step is done now.
bool Timeline::advance(Step& step) {
  if (step.work) step.work();
  if (!step.graph) return true;
  const std::vector<Graph::Node>& nodes = step.graph->nodes;
  std::vector<std::size_t> able;
  for (std::size_t node = 0; node < nodes.size(); ++node) {
    const auto is_done = [&step](std::size_t before) { return step.done[before]; };
    if (!step.done[node] && std::all_of(nodes[node].after.begin(), nodes[node].after.end(), is_done)) able.push_back(node);
  }
  if (able.empty()) return true;
  const bool random = schedule_.order() == Order::shuffled;
  const std::size_t node = random ? able[schedule_.below(able.size())] : schedule_.order() == Order::forward ? able.front() : able.back();
  nodes[node].work();
  step.done[node] = true;
  return false;
}

void Timeline::drop_all() {
  for (const LanePointer& lane : lanes_) {
    lane->steps.clear();
    lane->done = lane->given;
  }
  settle();
}

}  // namespace wengert::cuda::emulated
