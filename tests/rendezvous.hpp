// A network's first node that waits until a number of threads have met in it: then that many really took part.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include <wengert/engine/op.hpp>

namespace wengert::test {

class Rendezvous {
 public:
  explicit Rendezvous(int wanted) : wanted_(wanted) {}

  void meet() {
    std::unique_lock lock(mutex_);
    threads_.insert(std::this_thread::get_id());
    if (static_cast<int>(threads_.size()) >= wanted_) changed_.notify_all();
    changed_.wait_for(lock, std::chrono::seconds(20), [&] { return static_cast<int>(threads_.size()) >= wanted_; });
  }
  int met() const { return static_cast<int>(threads_.size()); }

  // f32 only. Must not outlive this.
  Op op() {
    Op made;
    made.name = "rendezvous";
    made.shapes = [](const OpQuery& query) { return std::vector<Spec>{query.inputs[0]}; };
    made.vjp = [](const VjpCall& call) { return std::vector<Var>{call.cotangent()}; };
    made.batch = [](const BatchQuery&) { return BatchEffect::per_image(); };
    Kernel kernel;
    kernel.run = [this](const KernelCall& call) {
      meet();
      std::copy_n(call.input(0).read<float>(), call.input(0).elements(), call.output(0).write<float>());
    };
    made.kernels = {kernel};
    return made;
  }

 private:
  int wanted_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::thread::id> threads_;
};

}  // namespace wengert::test
