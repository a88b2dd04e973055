// What the queues of an emulated device have been given, and when it is done: as late as waiting allows, in an order that a schedule picks.
//
// A lane is a queue's list of work. Nothing in it is done before somebody waits, and then
//   forward   only what that wait needs: work that another lane should have waited for is found missing;
//   reverse   first all that other lanes hold, as far as events allow: memory that is used again too early is found overwritten;
//   shuffled  lanes picked at random until the wait is over.
// Where work throws, all that is left in any lane is dropped, and who waits gets the exception.
#pragma once

#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <wengert/backends/cuda/emulator/order.hpp>
#include <wengert/engine/device.hpp>

namespace wengert::cuda::emulated {

struct Lane;
struct Capture;
using Work = std::function<void()>;

// The end of what a lane has been given so far or, during a capture, of what has been recorded for it.
struct Mark {
  std::shared_ptr<Lane> lane;
  Index position = 0;
  std::shared_ptr<Capture> capture = nullptr;  // null outside one
  std::vector<std::size_t> nodes = {};         // of the capture
};

// Recorded work: each node is done after the earlier ones that it names.
struct Graph {
  struct Node {
    Work work;
    std::vector<std::size_t> after;
  };
  std::vector<Node> nodes;
  Mark replayed;  // for the last time: a graph never runs beside itself
};

struct Recording : DeviceRecording {
  std::shared_ptr<Graph> graph;
};

// Recording under way. Lanes join by waiting for events of those that are in.
struct Capture {
  std::shared_ptr<Graph> graph = std::make_shared<Graph>();
  const Lane* origin = nullptr;
  std::vector<std::weak_ptr<Lane>> lanes;
  std::string broken;  // why it can't be finished any more
  bool open = true;
};

struct Step {  // one of the three
  Work work = nullptr;
  Mark until = {};
  std::shared_ptr<Graph> graph = nullptr;
  std::vector<bool> done = {};  // of the graph's nodes
};

struct Lane {
  std::deque<Step> steps;
  Index given = 0, done = 0;
  std::shared_ptr<Capture> capture;
  std::vector<std::size_t> last;  // of the capture: what comes next is done after these
};

using LanePointer = std::shared_ptr<Lane>;

// For one thread at a time. Messages begin with `who`.
class Timeline {
 public:
  // Eager: everything is done by the call that gives it.
  Timeline(std::string who, Schedule& schedule, bool eager) : who_(std::move(who)), schedule_(schedule), eager_(eager) {}

  LanePointer make_lane();
  void leave(const LanePointer& lane);  // its queue is gone; what it holds is still done
  void give(const LanePointer& lane, Work work);
  Mark mark(const LanePointer& lane) const;
  void wait_for(const LanePointer& lane, const Mark& mark);  // what comes next in the lane

  // The host waits; `call` is for the message where that is not allowed, as during a capture.
  void finish(const Mark& mark, const std::string& call);
  void finish_all() noexcept;           // keeps an exception
  void keep(std::exception_ptr error);  // for who waits next
  void after_all(Work work);            // behind all that lanes have been given by now, as soon as that is done

  void begin_capture(const LanePointer& lane);
  // Throws Error where the capture is broken, or holds work of a lane that joined which the first lane does not wait for.
  std::unique_ptr<DeviceRecording> end_capture(const LanePointer& lane);
  void replay(const LanePointer& lane, const DeviceRecording& recording);
  // For calls that CUDA forbids while anything is captured. False where nothing is; else all captures are broken.
  bool break_captures(const std::string& call);
  void refuse_captured(const LanePointer& lane, const std::string& call);  // throws Error

 private:
  void push(const LanePointer& lane, Step step);
  [[noreturn]] void fail_capture(Capture& capture, const std::string& why);
  void close(Capture& capture);
  void go_to(const Mark& mark);
  void go_as_needed(const Mark& mark);
  Lane* pick(Lane& wanted);
  void advance(Lane& lane);
  bool advance(Step& step);
  void settle();
  void drop_all();

  std::string who_;
  Schedule& schedule_;
  bool eager_;
  std::vector<LanePointer> lanes_;
  std::vector<std::shared_ptr<Capture>> captures_;
  struct Later {
    std::vector<Mark> marks;
    Work work;
  };
  std::deque<Later> later_;  // a later one's marks are never reached before an earlier one's
  std::exception_ptr kept_;
};

}  // namespace wengert::cuda::emulated
