// Running a plan allocates nothing: counts malloc and its kin (which all forms of new end in) over 100 training steps and inferences. A program
// of its own, because it stands in for the C library's allocator. Prints the counts; exit code 77 means skipped.
#include <atomic>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>

#include <wengert/backends/tbb/executor.hpp>
#include <wengert/models/mnist_cnn.hpp>
#include <wengert/models/predictor.hpp>
#include <wengert/models/script.hpp>
#include <wengert/models/training_step.hpp>
#include <wengert/ops/fusion/fusions.hpp>

namespace {

std::atomic<bool> counting{false};
std::atomic<long> allocations{0};

[[maybe_unused]] void count() {
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

namespace {

using namespace wengert;

// Batch norm is a barrier within a step, and the linear layer is large enough to be OpenBLAS's.
Script network_with_batch_norm() {
  return parse_script(R"(
name = "norm"
input = [1, 28, 28]
layers = [
  { conv2d = "conv1", filters = 4, size = 3, bias = false }, { batch_norm = "norm1" }, { relu = {} }, { max_pool2d = {}, window = 2 },
  { flatten = {} }, { linear = "fc1", units = 520 }, { relu = {} }, { linear = "fc2", units = 10 },
]
)",
                      "norm.toml");
}

// Prints and returns the allocations of 100 calls of `run`, after some that may settle things.
long count_allocations(const std::string& what, const std::function<void(Index call)>& run) {
  constexpr Index warm_up = 20, calls = 100;
  for (Index t = 1; t <= warm_up; ++t) run(t);
  allocations = 0;
  counting = true;
  for (Index t = warm_up + 1; t <= warm_up + calls; ++t) run(t);
  counting = false;
  std::cout << what << ": " << allocations << " allocations in " << calls << " runs\n";
  return allocations;
}

long of_training(const std::string& what, Model model, int threads) {
  model.initialise(1);
  Update update(Adam::report(), {});
  TrainingStep step(model, update, 64, 1, plan_options({}, tbb_executor(threads)));
  for (Index i = 0; i < step.images().elements(); ++i) step.images().write<float>()[i] = static_cast<float>(i * 37 % 256) / 256.0f;
  for (Index i = 0; i < 64; ++i) step.labels().write<std::int32_t>()[i] = static_cast<std::int32_t>(i % 10);
  return count_allocations(what + ", training, " + std::to_string(threads) + " threads", [&](Index t) { step.run(t, 1e-3); });
}

long of_inference(const std::string& what, Model model, int threads) {
  model.initialise(1);
  Predictor predictor(model, 64, plan_options({}, tbb_executor(threads)));
  return count_allocations(what + ", inference, " + std::to_string(threads) + " threads", [&](Index) { predictor.run(); });
}

}  // namespace

int main() {
  if (!can_count) return 77;
  counting = true;
  void* volatile probe = std::malloc(1);
  std::free(probe);
  counting = false;
  const bool counts = allocations == 1;
  const Script norm = network_with_batch_norm();
  long found = 0;
  for (const int threads : {1, 2}) {
    const Model report(MnistCnn{}, {1, 28, 28}), other(norm.network, norm.input);
    found += of_training("the report's network", report, threads) + of_inference("the report's network", report, threads);
    found += of_training("batch norm", other, threads) + of_inference("batch norm", other, threads);
  }
  return counts && found == 0 ? 0 : 1;
}
