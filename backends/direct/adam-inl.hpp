// Adam's update of a run of elements in vectors, shared by the optimiser's kernel and by the weight gradient that is fused with it.

#if defined(WENGERT_DIRECT_ADAM_TARGET) == defined(HWY_TARGET_TOGGLE)
#ifdef WENGERT_DIRECT_ADAM_TARGET
#undef WENGERT_DIRECT_ADAM_TARGET
#else
#define WENGERT_DIRECT_ADAM_TARGET
#endif

#include <cmath>
#include <wengert/backends/direct/highway-inl.hpp>
#include <wengert/backends/direct/matmul.hpp>

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {

// The constants of a step, as ops/optimiser.cpp forms them.
struct AdamConstants {
  float beta1, beta2, rest1, rest2, step, root, epsilon, decay;
};

inline AdamConstants adam_constants(const AdamStep& s) {
  return {static_cast<float>(s.beta1),
          static_cast<float>(s.beta2),
          static_cast<float>(1.0 - s.beta1),
          static_cast<float>(1.0 - s.beta2),
          s.rate / s.correction1,
          1.0f / std::sqrt(s.correction2),
          s.epsilon,
          s.rate * s.decay};
}

// Any cut of a run gives the same bits: the last elements go through the same instructions, in part of a vector.
HWY_INLINE void adam_run(const AdamConstants& c, std::size_t count, const float* HWY_RESTRICT gradient, float* HWY_RESTRICT p,
                         float* HWY_RESTRICT m, float* HWY_RESTRICT v) {
  const D d;
  const V beta1 = hn::Set(d, c.beta1), beta2 = hn::Set(d, c.beta2), rest1 = hn::Set(d, c.rest1), rest2 = hn::Set(d, c.rest2);
  const V step = hn::Set(d, c.step), root = hn::Set(d, c.root), epsilon = hn::Set(d, c.epsilon), decay = hn::Set(d, c.decay);
  const auto update = [&](V g, V& pi, V& mi, V& vi) HWY_ATTR {
    mi = hn::MulAdd(beta1, mi, hn::Mul(rest1, g));
    vi = hn::MulAdd(beta2, vi, hn::Mul(rest2, hn::Mul(g, g)));
    const V kept = hn::NegMulAdd(decay, pi, pi);
    pi = hn::Sub(kept, hn::Div(hn::Mul(step, mi), hn::MulAdd(hn::Sqrt(vi), root, epsilon)));
  };
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    V pi = hn::LoadU(d, p + i), mi = hn::LoadU(d, m + i), vi = hn::LoadU(d, v + i);
    update(hn::LoadU(d, gradient + i), pi, mi, vi);
    hn::StoreU(pi, d, p + i);
    hn::StoreU(mi, d, m + i);
    hn::StoreU(vi, d, v + i);
  }
  if (const std::size_t rest = count - i; rest) {
    V pi = load_first(rest, p + i), mi = load_first(rest, m + i), vi = load_first(rest, v + i);
    update(load_first(rest, gradient + i), pi, mi, vi);
    store_first(pi, rest, p + i);
    store_first(mi, rest, m + i);
    store_first(vi, rest, v + i);
  }
}

}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
