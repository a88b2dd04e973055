#include <wengert/backends/cuda/emulator/fiber.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include <boost/context/detail/fcontext.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace wengert::cuda::emulated {
namespace {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

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

// Boost's class fiber would make one change of stacks by itself, in its constructor, that no sanitizer is told of; its parts do not.
struct Fiber::State {
  explicit State(std::function<void(Fiber&)> what) : work(std::move(what)), stack(stacks.allocate()) {}
  ~State() { stacks.deallocate(stack); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  static void run(transfer_t from);

  std::function<void(Fiber&)> work;
  boost::context::protected_fixedsize_stack stacks{stack_bytes};
  boost::context::stack_context stack;
  Announcer announcer;
  fcontext_t inner = nullptr;  // the work, while it does not run
  fcontext_t outer = nullptr;  // who resumed it, while it runs
  bool ended = false;
};

void Fiber::State::run(transfer_t from) {
  Fiber& fiber = *static_cast<Fiber*>(from.data);
  State& state = *fiber.state_;
  state.announcer.inside();
  state.outer = from.fctx;
  state.work(fiber);
  state.ended = true;
  state.announcer.before_leaving(true);
  jump_fcontext(state.outer, nullptr);
}

Fiber::Fiber(std::function<void(Fiber&)> work) : state_(std::make_unique<State>(std::move(work))) {
  State& state = *state_;
  // Stacks lie at equal distances; their hot ends shall not all want the same lines of a cache.
  char* const end = static_cast<char*>(state.stack.sp);
  const std::size_t unused = reinterpret_cast<std::uintptr_t>(end) / 4096 % 16 * 256;
  state.announcer.set_stack(end - state.stack.size, state.stack.size);
  state.inner = make_fcontext(end - unused, state.stack.size - unused, State::run);
}

Fiber::~Fiber() = default;

void Fiber::resume() {
  state_->announcer.before_entering();
  state_->inner = jump_fcontext(state_->inner, this).fctx;
  state_->announcer.outside();
}

void Fiber::suspend() {
  state_->announcer.before_leaving(false);
  state_->outer = jump_fcontext(state_->outer, nullptr).fctx;
  state_->announcer.inside();
}

bool Fiber::ended() const { return state_->ended; }

}  // namespace wengert::cuda::emulated
