// The register tile of the direct convolution: a row of outputs stays in registers, each input value, once broadcast, serves all taps of a run.

#if defined(WENGERT_DIRECT_CONV_TILES_TARGET) == defined(HWY_TARGET_TOGGLE)
#ifdef WENGERT_DIRECT_CONV_TILES_TARGET
#undef WENGERT_DIRECT_CONV_TILES_TARGET
#else
#define WENGERT_DIRECT_CONV_TILES_TARGET
#endif

#include <cstring>
#include <wengert/backends/direct/conv_lower.hpp>
#include <wengert/backends/direct/highway-inl.hpp>

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {

constexpr int half_lanes = lanes < 8 ? lanes : 8;  // of one pixel in nhwc8
using D8 = hn::FixedTag<float, half_lanes>;
using V8 = hn::Vec<D8>;

// One input value in all lanes, or two neighbours in turn.
template <LaneUse use>
HWY_INLINE V spread(const float* p) {
  if constexpr (use == LaneUse::plain) {
    return hn::Set(D(), *p);
  } else {
    double two;
    std::memcpy(&two, p, sizeof two);
    return hn::BitCast(D(), hn::Set(hn::Repartition<double, D>(), two));
  }
}

// 16 lanes in two places, fewer in the first. (Templates, so that targets without halves of 8 skip them.)
template <class Tag>
HWY_INLINE V load_parts(Tag d, const float* lower, [[maybe_unused]] const float* upper) {
  if constexpr (lanes == 16) return hn::Combine(d, hn::LoadU(D8(), upper), hn::LoadU(D8(), lower));
  else return hn::LoadU(d, lower);
}
template <class Vec>
HWY_INLINE void store_parts(Vec v, float* lower, [[maybe_unused]] float* upper) {
  if constexpr (lanes == 16) {
    hn::StoreU(hn::LowerHalf(D8(), v), D8(), lower);
    hn::StoreU(hn::UpperHalf(D8(), v), D8(), upper);
  } else {
    hn::StoreU(v, D(), lower);
  }
}

// Adds, clips, masks and stores `count` vectors; place(i, upper) says where each half goes.
template <int count, int per_mask, class Place>
HWY_INLINE void finish_tile(const TileCall& a, V (&v)[count], const Place& place) {
  if (a.more) {
    UNROLL
    for (int i = 0; i < count; ++i) v[i] = hn::Add(v[i], load_parts(D(), place(i, 0), place(i, 1)));
  }
  const V floor = hn::Set(D(), a.floor);
  UNROLL
  for (int i = 0; i < count; ++i) v[i] = hn::Max(floor, v[i]);  // in this order NaN stays
  if (a.mask != nullptr) {
    UNROLL
    for (int i = 0; i < count; ++i) v[i] = hn::And(v[i], hn::LoadU(D(), a.mask + i / per_mask * lanes));
  }
  UNROLL
  for (int i = 0; i < count; ++i) store_parts(v[i], place(i, 0), place(i, 1));
}

template <int taps, int pixels, int vectors, LaneUse use, int in_pixel>
void tile(const TileCall& a) {
  const D d;
  constexpr int step = use == LaneUse::channel_pairs ? 2 : 1;
  V sum[vectors * pixels];
  UNROLL
  for (int b = 0; b < vectors; ++b) {
    const V bias = hn::LoadU(d, a.bias + b * lanes);
    UNROLL
    for (int j = 0; j < pixels; ++j) sum[b * pixels + j] = bias;
  }
  const float* HWY_RESTRICT w = a.w;
  for (const Segment* s = a.first; s != a.last; ++s) {
    const float* HWY_RESTRICT p = a.in + s->offset;
    for (int i = in_pixel == plane_channels ? s->channels : 1; i > 0; i -= step) {
      V k[vectors * taps];
      UNROLL
      for (int t = 0; t < taps * vectors; ++t) k[t] = hn::LoadU(d, w + t * lanes);
      UNROLL
      for (int x = 0; x < pixels + taps - 1; ++x) {
        const V q = spread<use>(p + x * in_pixel);
        UNROLL
        for (int b = 0; b < vectors; ++b) {
          UNROLL
          for (int t = 0; t < taps; ++t)
            if (x - t >= 0 && x - t < pixels) sum[b * pixels + x - t] = hn::MulAdd(q, k[t * vectors + b], sum[b * pixels + x - t]);
        }
      }
      w += taps * vectors * lanes;
      p += step;
    }
  }
  if constexpr (use == LaneUse::plain) {
    finish_tile<vectors * pixels, pixels>(a, sum, [&](int i, int upper) HWY_ATTR {
      const int channel = i / pixels * lanes + upper * half_lanes;
      return a.out + channel / 8 * a.plane + channel % 8 + i % pixels * a.pixel;
    });
  } else {  // two pixels a vector
    constexpr int count = (pixels + 1) / 2;
    V even[count], odd[count];
    UNROLL
    for (int i = 0; i < count; ++i) {
      const V u = sum[2 * i], v = sum[2 * i + 1 < pixels ? 2 * i + 1 : 2 * i];
      even[i] = hn::ConcatEven(d, v, u);
      odd[i] = hn::ConcatOdd(d, v, u);
    }
    const auto pixel = [](int i, int upper) { return upper == 1 && 2 * i + 1 < pixels ? 2 * i + 1 : 2 * i; };
    if constexpr (use == LaneUse::channel_pairs) {
      UNROLL
      for (int i = 0; i < count; ++i) even[i] = hn::Add(even[i], odd[i]);
      finish_tile<count, count>(a, even, [&](int i, int upper) HWY_ATTR { return a.out + pixel(i, upper) * a.pixel; });
    } else {
      finish_tile<count, count>(a, even, [&](int i, int upper) HWY_ATTR { return a.out + pixel(i, upper) * a.pixel; });
      if (a.second) finish_tile<count, count>(a, odd, [&](int i, int upper) HWY_ATTR { return a.out + a.row + pixel(i, upper) * a.pixel; });
    }
  }
}

// The instance for a kind, if its sums, taps and operands fit the registers (g++ keeps one tap more in memory at no cost).
template <int taps, int vectors, LaneUse use, int in_pixel, int pixels, int... smaller>
TileFunction pick_pixels(Index wanted) {
  if constexpr (vectors * pixels + vectors * taps + 2 <= registers + (taps == 5 ? 1 : 0) || pixels == 1)
    if (wanted == pixels) return &tile<taps, pixels, vectors, use, in_pixel>;
  if constexpr (sizeof...(smaller) > 0) return pick_pixels<taps, vectors, use, in_pixel, smaller...>(wanted);
  else return nullptr;
}
template <int taps, int vectors, LaneUse use, int in_pixel>
TileFunction pick_from(Index pixels) {
  return pick_pixels<taps, vectors, use, in_pixel, 24, 20, 16, 14, 12, 10, 8, 6, 4, 2, 1>(pixels);
}
template <int vectors, LaneUse use, int in_pixel>
TileFunction pick_taps(const TileKind& kind) {
  switch (kind.taps) {
    case 7: return pick_from<7, vectors, use, in_pixel>(kind.pixels);
    case 5: return pick_from<5, vectors, use, in_pixel>(kind.pixels);
    case 3: return pick_from<3, vectors, use, in_pixel>(kind.pixels);
    case 2: return pick_from<2, vectors, use, in_pixel>(kind.pixels);
    case 1: return pick_from<1, vectors, use, in_pixel>(kind.pixels);
    default: return nullptr;
  }
}

}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
