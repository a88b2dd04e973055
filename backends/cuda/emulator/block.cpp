#include <wengert/backends/cuda/emulator/block.hpp>

#include <cstring>
#include <numeric>
#include <utility>

namespace wengert::cuda::emulated {
namespace {

std::string place_text(const Where& where) { return std::string(where.file) + ":" + std::to_string(where.line); }

}  // namespace

Block::~Block() {
  closing_ = true;
  for (const auto& fiber : fibers_) fiber->resume();
}

void Block::begin(const Launch& launch, Schedule& schedule) {
  launch_ = &launch;
  schedule_ = &schedule;
  slots_.assign(static_cast<std::size_t>(launch.grid.threads), Slot());
}

void Block::run(Index number) {
  number_ = number;
  clock_.block = ++clock_.now;
  order_.resize(slots_.size());
  std::iota(order_.begin(), order_.end(), 0);
  schedule_->arrange(order_);
  next_ = 0, ended_ = 0;
  while (next_ < order_.size() && !failure_) {
    if (idle_.empty()) {
      fibers_.push_back(std::make_unique<Fiber>([this](Fiber& fiber) { work(fiber); }));
      idle_.push_back(fibers_.back().get());
    }
    Fiber* const fiber = idle_.back();
    idle_.pop_back();
    fiber->resume();
  }
  while (ended_ < size() && !failure_) {
    release();
    for (std::size_t i = 0; i < ready_.size() && !failure_; ++i) {
      running_ = ready_[i];
      slot(running_).state = State::running;
      slot(running_).fiber->resume();
    }
  }
  if (failure_) {
    abandon();
    std::rethrow_exception(std::exchange(failure_, nullptr));
  }
}

// What a fiber does: threads that have not begun, one after the other, until there is none. It comes back here whenever it is taken from idle_.
void Block::work(Fiber& fiber) {
  while (!closing_) {
    while (next_ < order_.size() && !failure_) run_thread(order_[next_++], fiber);
    idle_.push_back(&fiber);
    fiber.suspend();
  }
}

void Block::run_thread(int thread, Fiber& fiber) {
  running_ = thread;
  slot(thread).state = State::running;
  slot(thread).fiber = &fiber;
  try {
    Thread self(*this, thread);
    launch_->body(self);
  } catch (const Abandoned&) {
  } catch (...) {
    if (!failure_) failure_ = std::current_exception();
  }
  slot(thread).state = State::ended;
  ++ended_;
}

void Block::wait(State state, const Where& where) {
  Slot& own = slot(running_);
  own.state = state;
  own.where = where;
  own.fiber->suspend();
  if (abandoning_) throw Abandoned();
}

std::uint32_t Block::exchange(std::uint32_t value, int bits, const Where& where) {
  const int thread = running_, lane = thread % warp_size;
  if (bits < 0 || bits >= warp_size) {
    throw fault(FaultKind::divergence, thread, where, "wanted a shuffle's bits from 0 to 31, got " + std::to_string(bits));
  }
  if (thread - lane + warp_size > size()) {
    throw fault(FaultKind::divergence, thread, where,
                "wanted a shuffle by all 32 threads of a warp, this one has " + std::to_string(size() % warp_size));
  }
  slot(thread).value = value;
  slot(thread).bits = bits;
  wait(State::shuffle, where);
  return slot(thread).value;
}

// All threads wait or have ended: fills ready_ with those that go on, or sets failure_ where none can.
void Block::release() {
  ready_.clear();
  if (!release_barrier()) release_shuffles();
  if (ready_.empty()) {
    failure_ = std::make_exception_ptr(divergence());
    return;
  }
  schedule_->arrange(ready_);
}

bool Block::release_barrier() {
  for (const Slot& each : slots_) {
    if (each.state != State::barrier || !same_wait(each, slots_.front())) return false;
  }
  ++clock_.now;
  ready_.resize(slots_.size());
  std::iota(ready_.begin(), ready_.end(), 0);
  return true;
}

void Block::release_shuffles() {
  for (int first = 0; first + warp_size <= size(); first += warp_size) {
    bool whole = true;
    for (int t = first; t < first + warp_size && whole; ++t) whole = slot(t).state == State::shuffle && same_wait(slot(t), slot(first));
    if (!whole) continue;
    std::uint32_t given[warp_size];
    for (int lane = 0; lane < warp_size; ++lane) given[lane] = slot(first + lane).value;
    for (int lane = 0; lane < warp_size; ++lane) {
      slot(first + lane).value = given[lane ^ slot(first + lane).bits];
      ready_.push_back(first + lane);
    }
  }
}

bool Block::same_wait(const Slot& a, const Slot& b) const {
  return a.state == b.state && a.where.line == b.where.line &&
         (a.where.file == b.where.file || std::strcmp(a.where.file, b.where.file) == 0);
}

// Nobody can go on: a warp that is not whole at its shuffle is the likelier cause where both kinds of waiting are there.
Fault Block::divergence() const {
  for (const State kind : {State::shuffle, State::barrier}) {
    for (int t = 0; t < size(); ++t) {
      if (slot(t).state != kind) continue;
      const int first = kind == State::shuffle ? t - t % warp_size : 0, end = kind == State::shuffle ? first + warp_size : size();
      for (int other = first; other < end; ++other) {
        if (same_wait(slot(other), slot(t))) continue;
        const State state = slot(other).state;
        const std::string does = state == State::ended     ? "has ended"
                                 : state == State::barrier ? "waits at the barrier at " + place_text(slot(other).where)
                                                           : "waits at the shuffle at " + place_text(slot(other).where);
        return fault(FaultKind::divergence, t, slot(t).where,
                     std::string("waits at a ") + (kind == State::shuffle ? "shuffle" : "barrier") + ", while thread " +
                         std::to_string(other) + " " + does);
      }
    }
  }
  return fault(FaultKind::divergence, running_, Where(), "nobody can go on");
}

void Block::abandon() {
  abandoning_ = true;
  for (int t = 0; t < size(); ++t) {
    if (slot(t).state != State::barrier && slot(t).state != State::shuffle) continue;
    running_ = t;
    slot(t).fiber->resume();
  }
  abandoning_ = false;
}

Fault Block::fault(FaultKind kind, int thread, const Where& where, const std::string& what) const {
  return Fault(kind, {launch_->node, launch_->kernel, number_, thread, where.file, where.line}, what);
}

}  // namespace wengert::cuda::emulated
