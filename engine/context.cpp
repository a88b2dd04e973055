#include <wengert/engine/context.hpp>

#include <mutex>

namespace wengert {

namespace {

std::mutex defaults_mutex;

Context& defaults() {
  static Context context;
  return context;
}

Context copy_of_defaults() {
  const std::lock_guard lock(defaults_mutex);
  return defaults();
}

}  // namespace

Context& Context::current() {
  thread_local Context context = copy_of_defaults();
  return context;
}

void set_default_kernel(const std::string& choice) {
  const KernelChoice parsed = KernelChoice::parse(choice);
  Context::current().choice = parsed;
  const std::lock_guard lock(defaults_mutex);
  defaults().choice = parsed;
}

void set_default_executor(std::shared_ptr<Executor> executor) {
  Context::current().executor = executor;
  const std::lock_guard lock(defaults_mutex);
  defaults().executor = std::move(executor);
}

}  // namespace wengert
