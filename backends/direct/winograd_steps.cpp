// Rung winograd, its vector steps: transforms over (tile, channel) as it lies, whatever the lanes; between them, for each point, a matrix
// product of tiles by channels by filters, a register tile of tiles x 8 or 16 filters. 16 lanes meet 8 filters as even and odd channels.
// Timed as a part of winograd.cpp.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/winograd_steps.cpp>
#include <wengert/backends/direct/highway-inl.hpp>

#include <algorithm>
#include <cstring>

#include <wengert/backends/direct/winograd_points-inl.hpp>
#include <wengert/backends/direct/winograd_steps.hpp>

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace {

constexpr int half = lanes < 8 ? lanes : 8;
using DH = hn::FixedTag<float, half>;

// 16 lanes in two places, fewer in the first.
template <class Tag>
HWY_INLINE V load_tiles(Tag d, const float* first, [[maybe_unused]] const float* second) {
  if constexpr (lanes == 16) return hn::Combine(d, hn::LoadU(DH(), second), hn::LoadU(DH(), first));
  else return hn::LoadU(d, first);
}
template <class Vec>
HWY_INLINE void store_tiles(Vec v, float* first, [[maybe_unused]] float* second) {
  if constexpr (lanes == 16) {
    hn::StoreU(hn::LowerHalf(DH(), v), DH(), first);
    hn::StoreU(hn::UpperHalf(DH(), v), DH(), second);
  } else {
    hn::StoreU(v, D(), first);
  }
}

template <int m, int taps>
void transform(const float* in, Index floats, float* out, Index pitch) {
  constexpr int n = m + taps - 1;
  for (Index at = 0; at < floats; at += lanes) {
    const float* const first = in + at / 8 * m * 8 + at % 8;
    V x[n], t[n];
    UNROLL
    for (int i = 0; i < n; ++i) x[i] = load_tiles(D(), first + i * 8, first + (i + m) * 8);
    transform_input(x, t);
    UNROLL
    for (int i = 0; i < n; ++i) hn::StoreU(t[i], D(), out + i * pitch + at);
  }
}

// How the filters of a row are cut: two planes for 16 lanes, or one whose even and odd channels lie beside each other.
enum class Lanes : std::uint8_t { filters, channel_pairs };

constexpr int group_planes(Index planes) { return lanes == 16 && planes >= 2 ? 2 : 1; }

// Where filter k of a group and channel c stand among a point's weights.
HWY_INLINE Index weight_at(int planes, Index channel, Index filter) {
  if (lanes == 16 && planes == 1) return channel / 2 * 16 + filter * 2 + channel % 2;
  return channel * 8 * planes + filter;
}

// For the n points of a column: out (tile, filter) = v (tile, channel) x w (channel, filter), `tiles` of them.
struct Product {
  Index points, planes, floats;
  const float* v;  // (points, planes, floats)
  const float* w;
  float* out;      // (points, planes of the group, floats)
};

template <Lanes use, int tiles>
void multiply(const Product& product) {
  const D d;
  constexpr int vectors = lanes < 8 ? 8 / lanes : 1;
  const Index planes = product.planes, floats = product.floats;
  const float* w = product.w;
  const float* v = product.v;
  float* out = product.out;
  for (Index point = product.points; point > 0; --point) {
    V sum[tiles * vectors];
    UNROLL
    for (int i = 0; i < tiles * vectors; ++i) sum[i] = hn::Zero(d);
    for (Index p = 0; p < planes; ++p) {
      constexpr int step = use == Lanes::channel_pairs ? 2 : 1;
      UNROLL
      for (int c = 0; c < 8; c += step) {
        V k[vectors];
        UNROLL
        for (int b = 0; b < vectors; ++b) k[b] = hn::LoadU(d, w + b * lanes);
        w += vectors * lanes;
        UNROLL
        for (int t = 0; t < tiles; ++t) {
          V q;
          if constexpr (use == Lanes::channel_pairs) {
            double two;
            std::memcpy(&two, v + t * 8 + c, sizeof two);
            q = hn::BitCast(d, hn::Set(hn::Repartition<double, D>(), two));
          } else {
            q = hn::Set(d, v[t * 8 + c]);
          }
          UNROLL
          for (int b = 0; b < vectors; ++b) sum[t * vectors + b] = hn::MulAdd(q, k[b], sum[t * vectors + b]);
        }
      }
      v += floats;
    }
    if constexpr (use == Lanes::channel_pairs) {
      UNROLL
      for (int t = 0; t < tiles; t += 2)
        hn::StoreU(hn::Add(hn::ConcatEven(d, sum[t + 1], sum[t]), hn::ConcatOdd(d, sum[t + 1], sum[t])), d, out + t * 8);
      out += floats;
    } else {
      UNROLL
      for (int t = 0; t < tiles; ++t) {
        UNROLL
        for (int b = 0; b < vectors; ++b) store_tiles(sum[t * vectors + b], out + t * 8 + b * lanes, out + floats + t * 8);
      }
      out += lanes == 16 ? 2 * floats : floats;
    }
  }
}

// By half the tiles.
using Multiply = void (*)(const Product&);
constexpr int most_tiles = registers == 32 ? (lanes == 4 ? 10 : 14) : (lanes == 4 ? 6 : 12);
template <Lanes use, int tiles = most_tiles>
Multiply pick(Index wanted) {
  if (wanted == tiles) return &multiply<use, tiles>;
  if constexpr (tiles > 2) return pick<use, tiles - 2>(wanted);
  else return nullptr;
}

template <int m, int taps>
void row(const WinogradRow& row) {
  constexpr int n = m + taps - 1;
  const Index floats = row.floats, in = row.in_planes * floats, tiles = floats / 8;
  const Index parts = (tiles + most_tiles - 1) / most_tiles, part = (tiles / 2 + parts - 1) / parts * 2, last = tiles - (parts - 1) * part;
  const float* w = row.w;
  for (int column = 0; column < n; ++column) {
    const float* x[n];
    for (int i = 0; i < n; ++i) x[i] = row.transformed[i] + column * in;
    for (Index at = 0; at < in; at += lanes) {
      V d[n], t[n];
      UNROLL
      for (int i = 0; i < n; ++i) d[i] = hn::LoadU(D(), x[i] + at);
      transform_input(d, t);
      UNROLL
      for (int i = 0; i < n; ++i) hn::StoreU(t[i], D(), row.v + i * in + at);
    }
    for (Index first = 0; first < row.out_planes;) {
      const int planes = group_planes(row.out_planes - first);
      const bool pairs = lanes == 16 && planes == 1;
      for (Index p = 0; p < parts; ++p) {
        const Index here = p + 1 < parts ? part : last, at = p * part * 8;
        const Multiply multiply = pairs ? pick<Lanes::channel_pairs>(here) : pick<Lanes::filters>(here);
        multiply({n, row.in_planes, floats, row.v + at, w, row.product + at});
      }
      w += n * row.in_planes * 8 * planes * 8;
      for (Index p = 0; p < planes; ++p) {
        const float* const product = row.product + p * floats;
        float* const out = row.out + ((first + p) * n + column) * m * floats;
        for (Index at = 0; at < floats; at += lanes) {
          V s[n], y[m];
          UNROLL
          for (int i = 0; i < n; ++i) s[i] = hn::LoadU(D(), product + i * planes * floats + at);
          transform_output(s, y);
          UNROLL
          for (int i = 0; i < m; ++i) hn::StoreU(y[i], D(), out + i * floats + at);
        }
      }
      first += planes;
    }
  }
}

// What is not finite becomes NaN: an infinity reaches some outputs with the wrong sign, and must not end at zero.
HWY_INLINE V settled(V y) { return hn::MulAdd(hn::Zero(D()), y, y); }

template <int m, int taps>
void finish(const WinogradFinish& f) {
  constexpr int n = m + taps - 1;
  const D d;
  const V floor = hn::Set(d, f.floor);
  for (int i = 0; i < m; ++i)
    for (Index at = 0; at < f.floats; at += lanes) {
      const V bias = hn::LoadU(d, f.bias + at % 8), mask = hn::LoadU(d, f.mask + at % 8);
      V s[n], y[m];
      UNROLL
      for (int p = 0; p < n; ++p) s[p] = hn::LoadU(d, f.in + (p * m + i) * f.floats + at);
      transform_output(s, y);
      float* const out = f.out + i * f.pitch + at / 8 * m * 8 + at % 8;
      UNROLL
      for (int j = 0; j < m; ++j)
        store_tiles(hn::And(hn::Max(floor, settled(hn::Add(y[j], bias))), mask), out + j * 8, out + (j + m) * 8);  // in this order Max keeps NaN
    }
}

template <int taps>
void pool(const WinogradFinish& f) {
  constexpr int m = 2, n = m + taps - 1;
  const D d;
  const hn::RebindToSigned<D> di;
  const V floor = hn::Set(d, f.floor);
  alignas(64) static constexpr std::int32_t tile_of_lane[] = {0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2};
  const auto column = hn::LoadU(di, tile_of_lane);
  for (Index at = 0; at < f.tiles * 8; at += lanes) {
    const V bias = hn::LoadU(d, f.bias + at % 8), mask = hn::LoadU(d, f.mask + at % 8);
    V y[2][2];
    UNROLL
    for (int i = 0; i < 2; ++i) {
      V s[n];
      UNROLL
      for (int p = 0; p < n; ++p) s[p] = hn::LoadU(d, f.in + (p * m + i) * f.floats + at);
      transform_output(s, y[i]);
    }
    V best = hn::Add(settled(y[0][0]), bias);
    auto where = hn::Add(hn::Set(di, static_cast<std::int32_t>(f.row * f.width + at / 8 * 2)), column);
    const auto first = where;
    UNROLL
    for (int i = 1; i < 4; ++i) {
      const V value = hn::Add(settled(y[i / 2][i % 2]), bias);
      const auto takes = hn::AndNot(hn::Le(value, best), hn::Eq(best, best));  // the first NaN, once there is one
      best = hn::IfThenElse(takes, value, best);
      where = hn::IfThenElse(hn::RebindMask(di, takes), hn::Add(first, hn::Set(di, static_cast<std::int32_t>(i / 2 * f.width + i % 2))), where);
    }
    best = hn::And(hn::Max(floor, best), mask);
    const Index left = f.tiles * 8 - at;
    if (left >= lanes) {
      hn::StoreU(best, d, f.out + at);
      if (f.positions != nullptr) hn::StoreU(where, di, f.positions + at);
    } else {
      store_first(best, static_cast<std::size_t>(left), f.out + at);
      if (f.positions != nullptr) {
        alignas(64) std::int32_t all[lanes];
        hn::Store(where, di, all);
        std::copy_n(all, left, f.positions + at);
      }
    }
  }
}

// 8 filters at a time, wherever they stand in 16 lanes.
constexpr int wide = lanes < 8 ? 8 : lanes;

template <int m, int taps>
HWY_INLINE void transform_filters(const float (&plain)[taps * taps][wide], int lane, float (&points)[m + taps - 1][m + taps - 1][wide]) {
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

template <int m, int taps>
void pack(const float* w, Index channels, Index filters, bool data, float* packed) {
  constexpr int n = m + taps - 1;
  const Index in_planes = (channels + 7) / 8, out_planes = (filters + 7) / 8;
  float* group = packed;  // of the column 0; points are in_planes * 8 x planes * 8 apart
  for (Index first = 0; first < out_planes;) {
    const int planes = group_planes(out_planes - first);
    const Index point = in_planes * 8 * planes * 8;
    for (Index c = 0; c < in_planes * 8; ++c)
      for (int plane = 0; plane < planes; ++plane) {
        alignas(64) float plain[taps * taps][wide] = {};
        for (Index k = 0; k < 8; ++k) {
          const Index filter = (first + plane) * 8 + k;
          if (filter >= filters || c >= channels) continue;
          const float* const from = w + (data ? c * filters + filter : filter * channels + c) * taps * taps;
          for (int i = 0; i < taps * taps; ++i) plain[data ? taps * taps - 1 - i : i][k] = from[i];
        }
        alignas(64) float points[n][n][wide];  // column, row
        for (int lane = 0; lane < 8; lane += lanes) transform_filters<m, taps>(plain, lane, points);
        for (int i = 0; i < n; ++i)
          for (int j = 0; j < n; ++j)
            for (Index k = 0; k < 8; ++k)
              group[i * n * in_planes * 8 * out_planes * 8 + j * point + weight_at(planes, c, plane * 8 + k)] = points[i][j][k];
      }
    group += n * point;
    first += planes;
  }
}

template <int m, int taps>
constexpr WinogradSteps steps_of() {
  WinogradSteps made{lanes, &pack<m, taps>, &transform<m, taps>, &row<m, taps>, &finish<m, taps>, nullptr};
  if constexpr (m == 2) made.pool = &pool<taps>;
  return made;
}
constexpr WinogradSteps steps[] = {steps_of<2, 3>(), steps_of<4, 3>(), steps_of<2, 5>()};
constexpr const WinogradSteps* all_steps = steps;

}  // namespace
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <wengert/backends/direct/target.hpp>
namespace wengert::direct {

WinogradSteps winograd_steps(Index m, Index taps) {
  static constexpr const WinogradSteps* each[] = WENGERT_EACH_TARGET(all_steps);
  return each[target_index()][taps == 5 ? 2 : m == 4 ? 1 : 0];
}

}  // namespace wengert::direct
#endif
