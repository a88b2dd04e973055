// The optimisers' updates of many parameters in one launch: a thread takes four neighbouring elements. Memory sets the speed.
#pragma once

#include <wengert/backends/cuda/kernels/adam.hpp>
#include <wengert/backends/cuda/kernels/four.hpp>
#include <wengert/backends/cuda/kernels/many.hpp>
#include <wengert/backends/cuda/kernels/stop.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

constexpr int most_updates = 40;  // of one launch

struct AdamEntry {
  Global<const float> p, m, v, gradient, rate;
  Global<float> next_p, next_m, next_v;
  Index count = 0;
  bool vector = false;  // all are aligned
};

struct UpdateAdam {
  Many<AdamEntry, most_updates> many;
  AdamFormula adam;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    if (stopped(adam.stop)) return;
    const int t = many.of_block(thread.block());
    const AdamEntry& e = many.tensor[t];
    const Index i = many.first(thread, t);
    const AdamFormula::Rates r = adam.rates(e.rate.load(0));
    const Four g = load_four(e.gradient, i, e.count, e.vector);
    Four p = load_four(e.p, i, e.count, e.vector), m = load_four(e.m, i, e.count, e.vector), v = load_four(e.v, i, e.count, e.vector);
    adam.update(r, g.x, p.x, m.x, v.x);
    adam.update(r, g.y, p.y, m.y, v.y);
    adam.update(r, g.z, p.z, m.z, v.z);
    adam.update(r, g.w, p.w, m.w, v.w);
    store_four(e.next_p, i, e.count, e.vector, p);
    store_four(e.next_m, i, e.count, e.vector, m);
    store_four(e.next_v, i, e.count, e.vector, v);
  }
};

struct SgdEntry {
  Global<const float> p, velocity, gradient, rate;
  Global<float> next_p, next_velocity;
  Index count = 0;
  bool vector = false;
};

struct UpdateSgd {
  Many<SgdEntry, most_updates> many;
  Global<const std::int32_t> stop;
  float momentum = 0, decay = 0;

  WENGERT_DEVICE void update(float rate, float g, float& p, float& velocity) const {
    velocity = momentum * velocity + (g + decay * p);
    p = p - rate * velocity;
  }
  WENGERT_DEVICE void operator()(Thread& thread) const {
    if (stopped(stop)) return;
    const int t = many.of_block(thread.block());
    const SgdEntry& e = many.tensor[t];
    const Index i = many.first(thread, t);
    const float rate = e.rate.load(0);
    const Four g = load_four(e.gradient, i, e.count, e.vector);
    Four p = load_four(e.p, i, e.count, e.vector), velocity = load_four(e.velocity, i, e.count, e.vector);
    update(rate, g.x, p.x, velocity.x);
    update(rate, g.y, p.y, velocity.y);
    update(rate, g.z, p.z, velocity.z);
    update(rate, g.w, p.w, velocity.w);
    store_four(e.next_p, i, e.count, e.vector, p);
    store_four(e.next_velocity, i, e.count, e.vector, velocity);
  }
};

#if defined(__CUDACC__)
static_assert(sizeof(UpdateAdam) <= most_argument_bytes && sizeof(UpdateSgd) <= most_argument_bytes);
#endif

// ---- Launching.

template <class... Pointers>
bool all_aligned(const Pointers*... pointers) {
  return (aligned(pointers) && ...);
}

inline AdamEntry entry_of(const AdamTensor& t) {
  const Index n = t.count;
  return {{t.p, n},
          {t.m, n},
          {t.v, n},
          {t.gradient, n},
          {t.rate, 1},
          {t.next_p, n},
          {t.next_m, n},
          {t.next_v, n},
          n,
          all_aligned(t.p, t.m, t.v, t.gradient, t.next_p, t.next_m, t.next_v)};
}

inline SgdEntry entry_of(const SgdTensor& t) {
  const Index n = t.count;
  return {{t.p, n},
          {t.velocity, n},
          {t.gradient, n},
          {t.rate, 1},
          {t.next_p, n},
          {t.next_velocity, n},
          n,
          all_aligned(t.p, t.velocity, t.gradient, t.next_p, t.next_velocity)};
}

inline void adam(Queue& queue, const AdamStep& step, std::span<const AdamTensor> tensors) {
  launch_many<AdamEntry, most_updates>(
      tensors, [](const AdamTensor& t) { return entry_of(t); },
      [&](const auto& many) {
        launch(queue, "adam", many.grid(), UpdateAdam{many, adam_formula(queue, step)});
      });
}

inline void sgd(Queue& queue, const SgdStep& step, std::span<const SgdTensor> tensors) {
  launch_many<SgdEntry, most_updates>(
      tensors, [](const SgdTensor& t) { return entry_of(t); },
      [&](const auto& many) {
        launch(queue, "sgd", many.grid(),
               UpdateSgd{many, {queue.stop_flag, 1}, static_cast<float>(step.momentum), static_cast<float>(step.weight_decay)});
      });
}

inline OptimiserFunctions optimiser_functions() { return {adam, sgd}; }

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
