#include <wengert/backends/tbb/executor.hpp>

#include <optional>

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <wengert/engine/context.hpp>
#include <wengert/engine/error.hpp>

namespace wengert {

namespace {

// One arena; simple_partitioner makes every task one that may be stolen, and isolation keeps a worker that waits here from
// taking up unrelated tasks of the application. TBB carries exceptions over whole.
class TbbExecutor final : public Executor {
 public:
  explicit TbbExecutor(int threads) : threads_(threads), arena_(threads) {
    if (threads > tbb::info::default_concurrency()) {
      more_than_cores_.emplace(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads));
    }
  }

  int workers() const override { return threads_; }

  void run(Index tasks, const std::function<void(Index, int)>& body) override {
    if (tasks == 1) return body(0, 0);
    arena_.execute([&] {
      tbb::this_task_arena::isolate([&] {
        tbb::parallel_for(
            tbb::blocked_range<Index>(0, tasks, 1),
            [&](const tbb::blocked_range<Index>& range) {
              for (Index task = range.begin(); task < range.end(); ++task) body(task, tbb::this_task_arena::current_thread_index());
            },
            tbb::simple_partitioner{});
      });
    });
  }

 private:
  int threads_;
  std::optional<tbb::global_control> more_than_cores_;
  tbb::task_arena arena_;
};

}  // namespace

std::shared_ptr<Executor> tbb_executor(int threads) {
  if (threads < 0) fail("[threads] wanted 0 (all) or more, got " + std::to_string(threads));
  const int wanted = threads == 0 ? tbb::this_task_arena::max_concurrency() : threads;
  if (wanted == 1) return std::make_shared<SerialExecutor>();
  return std::make_shared<TbbExecutor>(wanted);
}

void set_threads(int threads) { set_default_executor(tbb_executor(threads)); }

}  // namespace wengert
