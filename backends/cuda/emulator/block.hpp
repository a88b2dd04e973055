// The running block: its threads on fibers, who waits where, and when they go on.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <wengert/backends/cuda/emulator/fault.hpp>
#include <wengert/backends/cuda/emulator/fiber.hpp>
#include <wengert/backends/cuda/emulator/order.hpp>
#include <wengert/backends/cuda/emulator/shadow.hpp>
#include <wengert/backends/cuda/emulator/thread_emulated.hpp>

namespace wengert::cuda::emulated {

struct Launch {
  std::string node, kernel;  // for messages; the node may be empty
  Grid grid;
  std::function<void(Thread&)> body;
};

// One object runs block after block, and launch after launch: its fibers stay. A fiber that has ended its thread begins the next one, so that
// threads that never wait cost a call each. After an exception the object is as good as new.
class Block {
 public:
  explicit Block(Clock& clock) : clock_(clock) {}
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  void begin(const Launch& launch, Schedule& schedule);  // for the blocks to come
  // Every thread to its end. Throws what a thread threw, or the Fault that stops them; a new interval begins with each barrier.
  void run(Index number);

  int size() const { return launch_->grid.threads; }
  Index number() const { return number_; }
  Index blocks() const { return launch_->grid.blocks; }
  const Launch& launch() const { return *launch_; }
  int running() const { return running_; }  // the thread

  // Of the running thread.
  void barrier(const Where& where) { wait(State::barrier, where); }
  std::uint32_t exchange(std::uint32_t value, int bits, const Where& where);

  Fault fault(FaultKind kind, int thread, const Where& where, const std::string& what) const;

 private:
  enum class State : std::uint8_t { running, barrier, shuffle, ended };
  struct Slot {  // of a thread
    State state = State::ended;
    Fiber* fiber = nullptr;
    Where where;
    std::uint32_t value = 0;  // of a shuffle: what it gives, then what it gets
    int bits = 0;
  };
  struct Abandoned {};  // thrown where a thread waits, to end it

  void work(Fiber& fiber);
  void run_thread(int thread, Fiber& fiber);
  void wait(State state, const Where& where);
  void release();
  bool release_barrier();
  void release_shuffles();
  bool same_wait(const Slot& a, const Slot& b) const;
  Fault divergence() const;
  void abandon();
  Slot& slot(int thread) { return slots_[static_cast<std::size_t>(thread)]; }
  const Slot& slot(int thread) const { return slots_[static_cast<std::size_t>(thread)]; }

  Clock& clock_;
  const Launch* launch_ = nullptr;
  Schedule* schedule_ = nullptr;
  Index number_ = 0;
  int running_ = 0;
  std::vector<Slot> slots_;
  std::vector<int> order_, ready_;
  std::size_t next_ = 0;  // in order_: the first thread that has not begun
  int ended_ = 0;
  std::exception_ptr failure_;
  bool abandoning_ = false, closing_ = false;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
};

}  // namespace wengert::cuda::emulated
