// Rung winograd, its vector steps: transforms over (tile, channel) as it lies; between them, for each point, a matrix product of tiles by
// channels by filters, in register tiles of tiles x 8 filters. 8 lanes on AVX-512 too, where 16 measured slower (Zen 4): the products are
// short, and a broadcast of 4 bytes is free in a multiply-add. Timed as a part of winograd.cpp.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/winograd_steps.cpp>
#include <wengert/backends/direct/highway-inl.hpp>

#include <algorithm>
#include <cstring>

#include <wengert/backends/direct/winograd_points-inl.hpp>
#include <wengert/backends/direct/winograd_steps.hpp>
#include <wengert/backends/direct/winograd_windows-inl.hpp>

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace winograd {
namespace {

template <int m, int taps>
void transform(const float* in, Index floats, float* out, Index pitch) {
  constexpr int n = m + taps - 1;
  for (Index at = 0; at < floats; at += width) {
    const float* const first = in + at / 8 * m * 8 + at % 8;
    V x[n], t[n];
    UNROLL
    for (int i = 0; i < n; ++i) x[i] = hn::LoadU(D(), first + i * 8);
    transform_input(x, t);
    UNROLL
    for (int i = 0; i < n; ++i) hn::StoreU(t[i], D(), out + i * pitch + at);
  }
}

// For the n points of a column: out (tile, filter) = v (tile, channel) x w (channel, filter), `tiles` of them; n is even.
struct Product {
  Index points, planes, floats;
  const float* v;  // (points, planes, floats)
  const float* w;
  float* out;  // (points, floats)
};

// `at_once` points, so that also of few tiles there are enough sums under way.
template <int tiles, int at_once>
void multiply(const Product& product) {
  const D d;
  constexpr int vectors = 8 / width, sums = tiles * vectors;
  const Index planes = product.planes, floats = product.floats, next_v = planes * floats, next_w = planes * 64;
  const float* w = product.w;
  const float* v = product.v;
  float* out = product.out;
  for (Index point = product.points; point > 0; point -= at_once) {
    V sum[at_once * sums];
    UNROLL
    for (int i = 0; i < at_once * sums; ++i) sum[i] = hn::Zero(d);
    for (Index p = 0; p < planes; ++p) {
      UNROLL
      for (int c = 0; c < 8; ++c) {
        UNROLL
        for (int a = 0; a < at_once; ++a) {
          V k[vectors];
          UNROLL
          for (int b = 0; b < vectors; ++b) k[b] = hn::LoadU(d, w + a * next_w + b * width);
          UNROLL
          for (int t = 0; t < tiles; ++t) {
            const V q = hn::Set(d, v[a * next_v + t * 8 + c]);
            UNROLL
            for (int b = 0; b < vectors; ++b) sum[a * sums + t * vectors + b] = hn::MulAdd(q, k[b], sum[a * sums + t * vectors + b]);
          }
        }
        w += 8;
      }
      v += floats;
    }
    w += (at_once - 1) * next_w, v += (at_once - 1) * next_v;
    UNROLL
    for (int a = 0; a < at_once; ++a) {
      UNROLL
      for (int i = 0; i < sums; ++i) hn::StoreU(sum[a * sums + i], d, out + i * width);
      out += floats;
    }
  }
}

using Multiply = void (*)(const Product&);
constexpr int most_tiles = registers == 32 ? (width == 4 ? 10 : 14) : (width == 4 ? 6 : 12);
template <int tiles = most_tiles>
Multiply pick(Index wanted) {
  if (wanted == tiles) return &multiply < tiles, 2 * tiles <= most_tiles ? 2 : 1 > ;
  if constexpr (tiles > 1) return pick<tiles - 1>(wanted);
  else return nullptr;
}

template <int m, int taps>
void row(const WinogradRow& row) {
  constexpr int n = m + taps - 1;
  const Index floats = row.floats, in = row.in_planes * floats, tiles = floats / 8;
  const Index parts = (tiles + most_tiles - 1) / most_tiles, part = (tiles + parts - 1) / parts, last = tiles - (parts - 1) * part;
  const float* w = row.w;
  for (int column = 0; column < n; ++column) {
    const float* x[n];
    for (int i = 0; i < n; ++i) x[i] = row.transformed[i] + column * in;
    for (Index at = 0; at < in; at += width) {
      V d[n], t[n];
      UNROLL
      for (int i = 0; i < n; ++i) d[i] = hn::LoadU(D(), x[i] + at);
      transform_input(d, t);
      UNROLL
      for (int i = 0; i < n; ++i) hn::StoreU(t[i], D(), row.v + i * in + at);
    }
    for (Index plane = 0; plane < row.out_planes; ++plane) {
      for (Index p = 0; p < parts; ++p) {
        const Index at = p * part * 8;
        pick(p + 1 < parts ? part : last)({n, row.in_planes, floats, row.v + at, w, row.product + at});
      }
      w += n * row.in_planes * 64;
      float* const out = row.out + (plane * n + column) * m * floats;
      for (Index at = 0; at < floats; at += width) {
        V s[n], y[m];
        UNROLL
        for (int i = 0; i < n; ++i) s[i] = hn::LoadU(D(), row.product + i * floats + at);
        transform_output(s, y);
        UNROLL
        for (int i = 0; i < m; ++i) hn::StoreU(y[i], D(), out + i * floats + at);
      }
    }
  }
}

// What is not finite becomes NaN: an infinity reaches some outputs with the wrong sign, and must not end at zero.
HWY_INLINE V settled(V y) { return hn::MulAdd(hn::Zero(D()), y, y); }

// The noise of a window of zeros is dropped by a product with 0, which keeps NaN: the filters may be what is not finite.
HWY_INLINE V biased(V y, const float* keep, V bias) { return settled(hn::MulAdd(y, hn::Set(D(), *keep), bias)); }

template <int m, int taps>
void finish(const WinogradFinish& f) {
  constexpr int n = m + taps - 1;
  const D d;
  const V floor = hn::Set(d, f.floor);
  for (int i = 0; i < m; ++i)
    for (Index at = 0; at < f.floats; at += width) {
      const V bias = hn::LoadU(d, f.bias + at % 8), mask = hn::LoadU(d, f.mask + at % 8);
      V s[n], y[m];
      UNROLL
      for (int p = 0; p < n; ++p) s[p] = hn::LoadU(d, f.in + (p * m + i) * f.floats + at);
      transform_output(s, y);
      float* const out = f.out + i * f.pitch + at / 8 * m * 8 + at % 8;
      const float* const keep = f.keep + i * f.keep_pitch + at / 8 * m;
      UNROLL
      for (int j = 0; j < m; ++j)
        hn::StoreU(hn::And(max_of(floor, biased(y[j], keep + j, bias)), mask), D(), out + j * 8);  // in this order NaN stays
    }
}

template <int m, int taps>
void pool(const WinogradFinish& f) {
  constexpr int n = m + taps - 1;
  const D d;
  const hn::RebindToSigned<D> di;
  const V floor = hn::Set(d, f.floor);
  for (int i = 0; i < m; i += 2)  // rows, two by two
    for (Index at = 0; at < f.floats; at += width) {
      const V bias = hn::LoadU(d, f.bias + at % 8), mask = hn::LoadU(d, f.mask + at % 8);
      V y[2][m];
      UNROLL
      for (int row = 0; row < 2; ++row) {
        V s[n];
        UNROLL
        for (int p = 0; p < n; ++p) s[p] = hn::LoadU(d, f.in + (p * m + i + row) * f.floats + at);
        transform_output(s, y[row]);
      }
      UNROLL
      for (int j = 0; j < m; j += 2) {
        const Index column = at / 8 * m + j, to = i / 2 * f.pitch + column / 2 * 8 + at % 8;
        const float* const keep = f.keep + i * f.keep_pitch + column;
        V best = biased(y[0][j], keep, bias);
        const auto first = hn::Set(di, static_cast<std::int32_t>((f.row + i) * f.width + column));
        auto where = first;
        UNROLL
        for (int k = 1; k < 4; ++k) {
          const V value = biased(y[k / 2][j + k % 2], keep + k / 2 * f.keep_pitch + k % 2, bias);
          const auto takes = hn::AndNot(hn::Le(value, best), hn::Eq(best, best));  // the first NaN, once there is one
          best = hn::IfThenElse(takes, value, best);
          where = hn::IfThenElse(hn::RebindMask(di, takes), hn::Add(first, hn::Set(di, static_cast<std::int32_t>(k / 2 * f.width + k % 2))),
                                 where);
        }
        hn::StoreU(hn::And(max_of(floor, best), mask), d, f.out + to);
        if (f.positions != nullptr) hn::StoreU(where, di, f.positions + to);
      }
    }
}

template <int m, int taps>
HWY_INLINE void transform_filters(const float (&plain)[taps * taps][8], int lane, float (&points)[m + taps - 1][m + taps - 1][8]) {
  constexpr int n = m + taps - 1;
  V columns[taps][n];  // transformed along the rows of a filter
  for (int i = 0; i < taps; ++i) {
    V g[taps];
    for (int j = 0; j < taps; ++j) g[j] = hn::Load(D(), plain[i * taps + j] + lane);
    transform_filter(g, columns[i]);
  }
  for (int j = 0; j < n; ++j) {
    V g[taps], t[n];
    for (int i = 0; i < taps; ++i) g[i] = columns[i][j];
    transform_filter(g, t);
    for (int i = 0; i < n; ++i) hn::Store(t[i], D(), points[j][i] + lane);
  }
}

// (column, plane of filters, row, channel, 8 filters)
template <int m, int taps>
void pack(const float* w, Index channels, Index filters, bool data, float* packed) {
  constexpr int n = m + taps - 1;
  const Index in = (channels + 7) / 8 * 8, planes = (filters + 7) / 8;
  for (Index plane = 0; plane < planes; ++plane)
    for (Index c = 0; c < in; ++c) {
      alignas(64) float plain[taps * taps][8] = {};
      for (Index k = 0; k < std::min<Index>(8, filters - plane * 8) && c < channels; ++k) {
        const Index filter = plane * 8 + k;
        const float* const from = w + (data ? c * filters + filter : filter * channels + c) * taps * taps;
        for (int i = 0; i < taps * taps; ++i) plain[data ? taps * taps - 1 - i : i][k] = from[i];
      }
      alignas(64) float points[n][n][8];
      for (int lane = 0; lane < 8; lane += width) transform_filters<m, taps>(plain, lane, points);
      for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) std::memcpy(packed + (((i * planes + plane) * n + j) * in + c) * 8, points[i][j], sizeof points[i][j]);
    }
}

template <int m, int taps>
constexpr WinogradSteps steps_of() {
  return {&pack<m, taps>,  &transform<m, taps>, &row<m, taps>,    &none_zero<taps>,
          &mark_row<taps>, &keep_rows<m, taps>, &finish<m, taps>, &pool<m, taps>};
}
constexpr WinogradSteps steps[] = {steps_of<2, 3>(), steps_of<4, 3>(), steps_of<2, 5>(), steps_of<4, 5>()};
constexpr const WinogradSteps* all_steps = steps;

}  // namespace
}  // namespace winograd
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <wengert/backends/direct/target.hpp>
namespace wengert::direct {

WinogradSteps winograd_steps(Index m, Index taps) {
  static constexpr const WinogradSteps* each[] = WENGERT_EACH_TARGET(winograd::all_steps);
  return each[target_index()][(taps == 5 ? 2 : 0) + (m == 4 ? 1 : 0)];
}

}  // namespace wengert::direct
#endif
