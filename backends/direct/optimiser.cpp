// The direct rung of the optimisers' updates: one pass over memory, vectors of every element alike. Bound by memory, or by the square root and
// the division where the parameters are in cache:
//   wengert bench op adam
#include <wengert/backends/direct/matmul.hpp>
#include <wengert/backends/direct/target.hpp>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/optimiser.cpp>
#include <wengert/backends/direct/highway-inl.hpp>
// after foreach_target.h
#include <wengert/backends/direct/adam-inl.hpp>

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace {

void run_adam(const AdamStep& step, Index count, const float* gradient, float* p, float* m, float* v) {
  adam_run(adam_constants(step), static_cast<std::size_t>(count), gradient, p, m, v);
}

void run_sgd(float rate, float momentum, float decay, Index count, const float* HWY_RESTRICT gradient, float* HWY_RESTRICT p,
             float* HWY_RESTRICT velocity) {
  const D d;
  const V by = hn::Set(d, rate), keep = hn::Set(d, momentum), pull = hn::Set(d, decay);
  const auto update = [&](V g, V& pi, V& vi) HWY_ATTR {
    vi = hn::MulAdd(keep, vi, hn::MulAdd(pull, pi, g));
    pi = hn::NegMulAdd(by, vi, pi);
  };
  Index i = 0;
  for (; i + lanes <= count; i += lanes) {
    V pi = hn::LoadU(d, p + i), vi = hn::LoadU(d, velocity + i);
    update(hn::LoadU(d, gradient + i), pi, vi);
    hn::StoreU(pi, d, p + i);
    hn::StoreU(vi, d, velocity + i);
  }
  if (const auto rest = static_cast<std::size_t>(count - i); rest) {
    V pi = load_first(rest, p + i), vi = load_first(rest, velocity + i);
    update(load_first(rest, gradient + i), pi, vi);
    store_first(pi, rest, p + i);
    store_first(vi, rest, velocity + i);
  }
}

}  // namespace
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wengert::direct {
namespace {
constexpr decltype(&HWY_NAMESPACE::run_adam) adams[] = WENGERT_EACH_TARGET(run_adam);
constexpr decltype(&HWY_NAMESPACE::run_sgd) sgds[] = WENGERT_EACH_TARGET(run_sgd);
}  // namespace

void adam(const AdamStep& step, Index count, const float* gradient, float* p, float* m, float* v) {
  adams[target_index()](step, count, gradient, p, m, v);
}

void sgd(float rate, float momentum, float decay, Index count, const float* gradient, float* p, float* velocity) {
  sgds[target_index()](rate, momentum, decay, count, gradient, p, velocity);
}

}  // namespace wengert::direct
#endif
