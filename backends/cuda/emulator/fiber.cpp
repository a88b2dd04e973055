#include <wengert/backends/cuda/emulator/fiber.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include <boost/context/detail/fcontext.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>

#include <sanitizer/common_interface_defs.h>
#include <sanitizer/tsan_interface.h>

namespace wengert::cuda::emulated {
namespace {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

// g++ tells by the first two, clang++ by the others.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool address_sanitizer = true, thread_sanitizer = false;
#elif defined(__SANITIZE_THREAD__)
constexpr bool address_sanitizer = false, thread_sanitizer = true;
#elif defined(__has_feature)
constexpr bool address_sanitizer = __has_feature(address_sanitizer), thread_sanitizer = __has_feature(thread_sanitizer);
#else
constexpr bool address_sanitizer = false, thread_sanitizer = false;
#endif

// A kernel's frames are small; a sanitizer's are several times as large.
constexpr std::size_t stack_bytes = (address_sanitizer || thread_sanitizer ? 256 : 64) * 1024;

// Tells the sanitizers of a fiber's stack, and of each change between it and the outer one, before and after.
class Announcer {
 public:
  Announcer(const void* stack, std::size_t bytes) : stack_(stack), bytes_(bytes) {
    if constexpr (thread_sanitizer) inner_ = __tsan_create_fiber(0);
  }
  ~Announcer() {
    if constexpr (thread_sanitizer) __tsan_destroy_fiber(inner_);
  }
  Announcer(const Announcer&) = delete;
  Announcer& operator=(const Announcer&) = delete;

  void before_entering() {
    if constexpr (address_sanitizer) __sanitizer_start_switch_fiber(&outer_, stack_, bytes_);
    if constexpr (thread_sanitizer) {
      outer_ = __tsan_get_current_fiber();
      __tsan_switch_to_fiber(inner_, 0);
    }
  }
  void inside() {
    if constexpr (address_sanitizer) __sanitizer_finish_switch_fiber(inner_, &outer_stack_, &outer_bytes_);
  }
  void before_leaving(bool for_ever) {
    if constexpr (address_sanitizer) __sanitizer_start_switch_fiber(for_ever ? nullptr : &inner_, outer_stack_, outer_bytes_);
    if constexpr (thread_sanitizer) __tsan_switch_to_fiber(outer_, 0);
  }
  void outside() {
    if constexpr (address_sanitizer) __sanitizer_finish_switch_fiber(outer_, nullptr, nullptr);
  }

 private:
  const void *stack_, *outer_stack_ = nullptr;
  std::size_t bytes_, outer_bytes_ = 0;
  void *inner_ = nullptr, *outer_ = nullptr;  // the sanitizer's own, of each side
};

}  // namespace

// Boost's class fiber would make one change of stacks by itself, in its constructor, that no sanitizer is told of; its parts do not.
struct Fiber::State {
  explicit State(std::function<void(Fiber&)> what)
      : work(std::move(what)), stack(stacks.allocate()), announcer(static_cast<char*>(stack.sp) - stack.size, stack.size) {}
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
