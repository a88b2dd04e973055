// Running a plan allocates nothing: counts malloc and its kin (which all forms of new end in) over 100 training steps. A program of its own,
// because it stands in for the C library's allocator. Prints the counts; exit code 77 means skipped.
#include <atomic>
#include <cstdlib>
#include <iostream>

#include <wengert/backends/tbb/executor.hpp>
#include <wengert/models/mnist_cnn.hpp>
#include <wengert/models/training_step.hpp>
#include <wengert/ops/fusion/fusions.hpp>

namespace {

std::atomic<bool> counting{false};
std::atomic<long> allocations{0};

void count() {
  if (counting.load(std::memory_order_relaxed)) allocations.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WENGERT_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WENGERT_SANITIZED
#endif
#endif
#if defined(__GLIBC__) && !defined(WENGERT_SANITIZED)
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

void* malloc(std::size_t size) noexcept {
  count();
  return __libc_malloc(size);
}
void* calloc(std::size_t elements, std::size_t size) noexcept {
  count();
  return __libc_calloc(elements, size);
}
void* realloc(void* memory, std::size_t size) noexcept {
  count();
  return __libc_realloc(memory, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  count();
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t size) noexcept {
  count();
  *memory = __libc_memalign(alignment, size);
  return *memory == nullptr ? 12 : 0;  // ENOMEM
}
}
constexpr bool can_count = true;
#else
constexpr bool can_count = false;
#endif

int main() {
  if (!can_count) return 77;
  using namespace wengert;
  constexpr int warm_up = 20, steps = 100;
  counting = true;
  void* volatile probe = std::malloc(1);
  std::free(probe);
  counting = false;
  bool none = allocations == 1;  // the counter counts
  for (const int threads : {1, 2}) {
    Model model(MnistCnn{}, {1, 28, 28});
    model.initialise(1);
    Update update(Adam::report(), {});
    TrainingStep step(model, update, 64, 1, plan_options({}, tbb_executor(threads)));
    for (Index i = 0; i < 64 * 28 * 28; ++i) step.images().write<float>()[i] = static_cast<float>(i * 37 % 256) / 256.0f;
    for (Index i = 0; i < 64; ++i) step.labels().write<std::int32_t>()[i] = static_cast<std::int32_t>(i % 10);
    for (Index t = 1; t <= warm_up; ++t) step.run(t, 1e-3);
    allocations = 0;
    counting = true;
    for (Index t = warm_up + 1; t <= warm_up + steps; ++t) step.run(t, 1e-3);
    counting = false;
    std::cout << threads << " threads: " << allocations << " allocations in " << steps << " steps\n";
    none = none && allocations == 0;
  }
  return none ? 0 : 1;
}
