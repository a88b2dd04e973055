// A function on a stack of its own, left and entered again wherever it likes. AddressSanitizer and ThreadSanitizer are told of each change.
#pragma once

#include <functional>
#include <memory>

namespace wengert::cuda::emulated {

// Belongs to the host thread that makes it. Nothing may be thrown out of the work.
class Fiber {
 public:
  explicit Fiber(std::function<void(Fiber&)> work);
  ~Fiber();  // the work must have ended, or never begun
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  void resume();   // from outside: begins or goes on with the work, until it suspends itself or ends
  void suspend();  // from inside: goes back to who resumed it
  bool ended() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace wengert::cuda::emulated
