#include <wengert/backends/cuda/emulator/fiber.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include <boost/context/fiber.hpp>
#include <boost/context/preallocated.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace wengert::cuda::emulated {
namespace {

// A kernel's frames are small; a sanitizer's are several times as large.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t stack_bytes = 256 * 1024;
#else
constexpr std::size_t stack_bytes = 64 * 1024;
#endif

// What a sanitizer knows of the two stacks. Each change of stacks is announced before it (leave) and after it (arrive).
class Announcer {
 public:
#if defined(__SANITIZE_ADDRESS__)
  void set_stack(const void* bottom, std::size_t bytes) { bottom_ = bottom, bytes_ = bytes; }
  void before_entering() { __sanitizer_start_switch_fiber(&outer_saved_, bottom_, bytes_); }
  void inside() { __sanitizer_finish_switch_fiber(inner_saved_, &outer_bottom_, &outer_bytes_); }
  void before_leaving(bool for_ever) { __sanitizer_start_switch_fiber(for_ever ? nullptr : &inner_saved_, outer_bottom_, outer_bytes_); }
  void outside() { __sanitizer_finish_switch_fiber(outer_saved_, nullptr, nullptr); }

 private:
  const void *bottom_ = nullptr, *outer_bottom_ = nullptr;
  std::size_t bytes_ = 0, outer_bytes_ = 0;
  void *inner_saved_ = nullptr, *outer_saved_ = nullptr;
#elif defined(__SANITIZE_THREAD__)
  Announcer() : inner_(__tsan_create_fiber(0)) {}
  ~Announcer() { __tsan_destroy_fiber(inner_); }
  Announcer(const Announcer&) = delete;
  Announcer& operator=(const Announcer&) = delete;
  void set_stack(const void*, std::size_t) {}
  void before_entering() {
    outer_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(inner_, 0);
  }
  void inside() {}
  void before_leaving(bool) { __tsan_switch_to_fiber(outer_, 0); }
  void outside() {}

 private:
  void *inner_, *outer_ = nullptr;
#else
  void set_stack(const void*, std::size_t) {}
  void before_entering() {}
  void inside() {}
  void before_leaving(bool) {}
  void outside() {}
#endif
};

}  // namespace

struct Fiber::State {
  std::function<void(Fiber&)> work;
  Announcer announcer;
  boost::context::fiber inner;  // the work, while it does not run
  boost::context::fiber outer;  // who resumed it, while it runs
  bool ended = false;
};

Fiber::Fiber(std::function<void(Fiber&)> work) : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.work = std::move(work);
  boost::context::protected_fixedsize_stack stacks(stack_bytes);
  const boost::context::stack_context stack = stacks.allocate();
  // Stacks lie at equal distances; their hot ends shall not all want the same lines of a cache.
  char* const end = static_cast<char*>(stack.sp);
  const std::size_t unused = reinterpret_cast<std::uintptr_t>(end) / 4096 % 16 * 256;
  state.announcer.set_stack(end - stack.size, stack.size);
  const auto run = [this](boost::context::fiber&& from) {
    State& own = *state_;
    own.announcer.inside();
    own.outer = std::move(from);
    own.work(*this);
    own.ended = true;
    own.announcer.before_leaving(true);
    return std::move(own.outer);
  };
  state.inner =
      boost::context::fiber(std::allocator_arg, boost::context::preallocated(end - unused, stack.size - unused, stack), stacks, run);
}

Fiber::~Fiber() = default;

void Fiber::resume() {
  state_->announcer.before_entering();
  state_->inner = std::move(state_->inner).resume();
  state_->announcer.outside();
}

void Fiber::suspend() {
  state_->announcer.before_leaving(false);
  state_->outer = std::move(state_->outer).resume();
  state_->announcer.inside();
}

bool Fiber::ended() const { return state_->ended; }

}  // namespace wengert::cuda::emulated
