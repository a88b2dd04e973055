// The loops of `wengert bench peak`: no kernel can run faster than these.
#include <wengert/backends/direct/peak.hpp>
#include <wengert/backends/direct/target.hpp>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/peak.cpp>
#include <wengert/backends/direct/highway-inl.hpp>

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace {

constexpr int chains = 12;  // more than latency x units of any processor; with their operands they fit 16 registers

double multiply_adds(Index rounds) {
  const D d;
  V chain[chains];
  UNROLL for (int i = 0; i < chains; ++i) chain[i] = hn::Set(d, static_cast<float>(i));
  V shrink = hn::Set(d, 0.5f), shift = hn::Set(d, 1.0f);
  for (Index round = 0; round < rounds; ++round) {
    UNROLL for (int i = 0; i < chains; ++i) chain[i] = hn::MulAdd(chain[i], shrink, shift);  // tends to 2: no denormal, no infinity
  }
  UNROLL for (int i = 1; i < chains; ++i) chain[0] = hn::Max(chain[0], chain[i]);
  volatile float used = hn::GetLane(chain[0]);
  static_cast<void>(used);
  return 2.0 * chains * lanes * static_cast<double>(rounds);
}

void copy(Index count, const float* HWY_RESTRICT from, float* HWY_RESTRICT to) {
  constexpr int unrolled = 4;
  Index i = 0;
  for (; i + unrolled * lanes <= count; i += unrolled * lanes) {
    V v[unrolled];
    UNROLL for (int j = 0; j < unrolled; ++j) v[j] = hn::LoadU(D(), from + i + j * lanes);
    UNROLL for (int j = 0; j < unrolled; ++j) hn::StoreU(v[j], D(), to + i + j * lanes);
  }
  for (; i < count; ++i) to[i] = from[i];
}

}  // namespace
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wengert::direct {
namespace {
constexpr decltype(&HWY_NAMESPACE::multiply_adds) all_multiply_adds[] = WENGERT_EACH_TARGET(multiply_adds);
constexpr decltype(&HWY_NAMESPACE::copy) copies[] = WENGERT_EACH_TARGET(copy);
}  // namespace

double run_multiply_adds(Index rounds) { return all_multiply_adds[target_index()](rounds); }
void run_copy(Index count, const float* from, float* to) { copies[target_index()](count, from, to); }

}  // namespace wengert::direct
#endif
