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

HWY_INLINE float* output(const TileCall& a, int channel, int pixel) {
  return a.out + channel / 8 * a.plane + channel % 8 + pixel * a.pixel;
}

// What the output holds of earlier stages, as the sums hold it.
template <LaneUse use, class Tag>
HWY_INLINE V load_output(Tag d, const TileCall& a, int channel, int pixel) {
  const float* const out = output(a, channel, pixel);
  if constexpr (use == LaneUse::plain) {
    return load_parts(d, out, out + a.plane);
  } else {
    const hn::Repartition<std::uint64_t, Tag> pairs;
    const auto lanes_of = [&](const float* p)
                              HWY_ATTR { return hn::PromoteTo(pairs, hn::BitCast(hn::RebindToUnsigned<D8>(), hn::LoadU(D8(), p))); };
    const auto even = lanes_of(out);
    if constexpr (use == LaneUse::channel_pairs) return hn::BitCast(d, even);
    else return a.second ? hn::BitCast(d, hn::Or(even, hn::ShiftLeft<32>(lanes_of(out + a.row)))) : hn::BitCast(d, even);
  }
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
  if (a.more) {
    UNROLL
    for (int i = 0; i < vectors * pixels; ++i) sum[i] = load_output<use>(d, a, i / pixels * lanes, i % pixels);
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
  // Copies, since for all the compiler knows the stores below change `a`.
  const Index plane = a.plane, pixel = a.pixel;
  float* out = a.out;
  const V floor = hn::Set(d, a.floor);
  const auto finish = [floor](V v, V mask) HWY_ATTR { return hn::And(max_of(floor, v), mask); };  // in this order NaN stays
  if constexpr (use == LaneUse::plain) {
    const float* HWY_RESTRICT mask = a.mask;
    UNROLL
    for (int b = 0; b < vectors; ++b) {
      const V used = hn::LoadU(d, mask + b * lanes);
      float* to = out + b * lanes / 8 * plane + b * lanes % 8;
      UNROLL
      for (int j = 0; j < pixels; ++j) {
        store_parts(finish(sum[b * pixels + j], used), to, to + plane);
        to += pixel;
      }
    }
  } else {  // two pixels a vector
    const V used = hn::LoadU(d, a.mask);
    const Index row = a.row;
    const bool second = a.second;
    V low[(pixels + 1) / 2];
    UNROLL
    for (int j = 0; j < pixels; j += 2) {
      const int next = j + 1 < pixels ? j + 1 : j;
      const V even = hn::ConcatEven(d, sum[next], sum[j]);
      low[j / 2] = hn::ConcatOdd(d, sum[next], sum[j]);
      float* const beside = out + (next - j) * pixel;
      store_parts(finish(use == LaneUse::channel_pairs ? hn::Add(even, low[j / 2]) : even, used), out, beside);
      out = beside + pixel;
    }
    if (use == LaneUse::row_pairs && second) {
      out = a.out + row;
      UNROLL
      for (int j = 0; j < pixels; j += 2) {
        float* const beside = out + (j + 1 < pixels ? pixel : 0);
        store_parts(finish(low[j / 2], used), out, beside);
        out = beside + pixel;
      }
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
