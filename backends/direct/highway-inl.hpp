// What every vector kernel file of backends/direct/ begins with: Highway, set up for our targets, and the vector type of each. Private to their .cpp files.
//
//   #undef HWY_TARGET_INCLUDE
//   #define HWY_TARGET_INCLUDE <wengert/backends/direct/NAME.cpp>  // the file itself: compiled once a target
//   #include <wengert/backends/direct/highway-inl.hpp>
//   HWY_BEFORE_NAMESPACE();
//   namespace wengert::direct::HWY_NAMESPACE {
//   namespace {
//   void work(...) { ... }                                          // in terms of V, lanes, registers
//   }
//   }
//   HWY_AFTER_NAMESPACE();
//   #if HWY_ONCE
//   namespace wengert::direct {
//   constexpr decltype(&HWY_NAMESPACE::work) works[] = WENGERT_EACH_TARGET(work);
//   void call(...) { works[target_index()](...); }
//   }
//   #endif

#ifndef WENGERT_DIRECT_HIGHWAY_ONCE
#define WENGERT_DIRECT_HIGHWAY_ONCE

#include <hwy/detect_targets.h>

#include <cstddef>

// Few targets, since each compiles every template once more; without a baseline of our own Highway 1.0.3 would add a scalar one.
#undef HWY_BASELINE_TARGETS
#undef HWY_DISABLED_TARGETS
#if HWY_ARCH_X86
#define HWY_BASELINE_TARGETS HWY_SSE4
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
#define WENGERT_EACH_TARGET(...) \
  { N_AVX3::__VA_ARGS__, N_AVX2::__VA_ARGS__, N_SSE4::__VA_ARGS__ }
#else
#define HWY_BASELINE_TARGETS HWY_NEON
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#define WENGERT_EACH_TARGET(...) \
  { N_NEON::__VA_ARGS__ }
#endif

// Before a loop with constant bounds over an array of vectors: the array lives in registers only if every such loop is unrolled.
#ifdef __clang__
#define UNROLL HWY_PRAGMA(clang loop unroll(full))
#else
#define UNROLL HWY_PRAGMA(GCC unroll 64)
#endif
// Hides where a pointer (or index) comes from: g++ otherwise carries loads over iterations, or an address a tap, and spills vectors for it.
#define OPAQUE(p) asm("" : "+r"(p))

#endif

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#if defined(WENGERT_DIRECT_HIGHWAY_TARGET) == defined(HWY_TARGET_TOGGLE)  // as in Highway's own -inl.h files: once a target
#ifdef WENGERT_DIRECT_HIGHWAY_TARGET
#undef WENGERT_DIRECT_HIGHWAY_TARGET
#else
#define WENGERT_DIRECT_HIGHWAY_TARGET
#endif

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int lanes = HWY_TARGET == HWY_AVX3 ? 16 : HWY_TARGET == HWY_AVX2 ? 8 : 4;  // floats a vector
constexpr int registers = HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON ? 32 : 16;
using D = hn::FixedTag<float, lanes>;
using V = hn::Vec<D>;

// The larger one; b where either is NaN, as x86's instruction has it. NEON's lets NaN go.
template <class W>
HWY_INLINE W max_of(W a, W b) {
  if constexpr (HWY_TARGET == HWY_NEON) return hn::IfThenElse(hn::Gt(a, b), a, b);
  else return hn::Max(a, b);
}

// The first `count` of p's floats (at most `lanes`), the other lanes zero. Reads nothing behind them: tensors may be borrowed.
HWY_INLINE V load_first(std::size_t count, const float* p) {
  if constexpr (HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2) {
    return hn::MaskedLoad(hn::FirstN(D(), count), D(), p);
  } else {  // without a masked load in hardware, Highway's reads the whole vector (and on SSE4 wants it aligned)
    if (count == static_cast<std::size_t>(lanes)) return hn::LoadU(D(), p);
    alignas(64) float all[lanes] = {};
    for (std::size_t i = 0; i < count; ++i) all[i] = p[i];
    return hn::Load(D(), all);
  }
}

// Writes the first `count` lanes (at most `lanes`) and nothing behind them, where another thread may be writing.
HWY_INLINE void store_first(V v, std::size_t count, float* p) {
  if (HWY_TARGET != HWY_AVX3 && count == static_cast<std::size_t>(lanes)) return hn::StoreU(v, D(), p);  // AVX2's masked store is slow
  if constexpr (HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2) {
    hn::BlendedStore(v, hn::FirstN(D(), count), D(), p);
  } else {  // without a masked store in hardware, Highway's reads and writes the whole vector
    alignas(64) float all[lanes];
    hn::Store(v, D(), all);
    for (std::size_t i = 0; i < count; ++i) p[i] = all[i];
  }
}

}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
