// The direct rung of y = x w^T: tiles of rows x 4 outputs of dot products, each a vector of partial sums over `in`, so that w is read where it
// lies and never transposed; at the end the vectors of four outputs are summed across at once.
//   wengert bench op matmul
#include <algorithm>
#include <wengert/backends/direct/matmul.hpp>
#include <wengert/backends/direct/target.hpp>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/linear_forward.cpp>
#include <wengert/backends/direct/highway-inl.hpp>

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace {

using D4 = hn::FixedTag<float, 4>;
using V4 = hn::Vec<D4>;
constexpr int group = 4;                                                         // outputs that are summed across at once
constexpr int most_rows = registers == 32 ? 6 : HWY_TARGET == HWY_AVX2 ? 3 : 2;  // x group sums, and the operands, fit the registers

// Adds halves until four lanes are left.
template <int L, class Vec>
HWY_INLINE V4 fold(Vec v) {
  if constexpr (L == 4) {
    return v;
  } else {
    const hn::FixedTag<float, L / 2> half;
    return fold<L / 2>(hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}

// Lane j is the sum over the lanes of the j-th vector. The same tree for each, wherever it stands.
HWY_INLINE V4 sum_across(V a, V b, V c, V d) {
  const D f;
  const hn::Repartition<double, D> pairs;
  const V ab = hn::Add(hn::InterleaveLower(f, a, b), hn::InterleaveUpper(f, a, b));
  const V cd = hn::Add(hn::InterleaveLower(f, c, d), hn::InterleaveUpper(f, c, d));
  const auto ab2 = hn::BitCast(pairs, ab), cd2 = hn::BitCast(pairs, cd);
  const V all = hn::Add(hn::BitCast(f, hn::InterleaveLower(pairs, ab2, cd2)), hn::BitCast(f, hn::InterleaveUpper(pairs, ab2, cd2)));
  return fold<lanes>(all);
}

struct Tile {
  Index in, out;
  const float *x, *w, *bias;
  float* y;
  Index outputs;  // of the tile that exist; the others compute the last one again
  bool relu;
};

template <int R, int O>
void dots(const Tile& t) {
  const D d;
  const float* x[R];
  const float* w[O];
  V sums[R][O];
  UNROLL for (int r = 0; r < R; ++r) x[r] = t.x + r * t.in;
  UNROLL for (int o = 0; o < O; ++o) w[o] = t.w + std::min<Index>(o, t.outputs - 1) * t.in;
  UNROLL for (int r = 0; r < R; ++r) UNROLL for (int o = 0; o < O; ++o) sums[r][o] = hn::Zero(d);
  const auto step = [&](auto load) HWY_ATTR {  // the fewer vectors stay while the others come one by one
    if constexpr (R < O) {
      V rows[R];
      UNROLL for (int r = 0; r < R; ++r) rows[r] = load(x[r]);
      UNROLL for (int o = 0; o < O; ++o) {
        const V column = load(w[o]);
        UNROLL for (int r = 0; r < R; ++r) sums[r][o] = hn::MulAdd(rows[r], column, sums[r][o]);
      }
    } else {
      V columns[O];
      UNROLL for (int o = 0; o < O; ++o) columns[o] = load(w[o]);
      UNROLL for (int r = 0; r < R; ++r) {
        const V row = load(x[r]);
        UNROLL for (int o = 0; o < O; ++o) sums[r][o] = hn::MulAdd(row, columns[o], sums[r][o]);
      }
    }
  };
  Index i = 0;
  for (; i + lanes <= t.in; i += lanes) step([&](const float* p) HWY_ATTR { return hn::LoadU(d, p + i); });
  if (const auto rest = static_cast<std::size_t>(t.in - i); rest) step([&](const float* p) HWY_ATTR { return load_first(rest, p + i); });

  UNROLL for (int o = 0; o < O; o += group) {
    const Index count = std::min<Index>(group, t.outputs - o);
    if (count <= 0) return;
    alignas(16) float shift[group] = {};
    if (t.bias) std::copy_n(t.bias + o, count, shift);
    UNROLL for (int r = 0; r < R; ++r) {
      V4 y = hn::Add(sum_across(sums[r][o], sums[r][o + 1], sums[r][o + 2], sums[r][o + 3]), hn::Load(D4(), shift));
      if (t.relu) y = hn::IfThenZeroElse(hn::Le(y, hn::Zero(D4())), y);
      float* to = t.y + r * t.out + o;
      if (count == group) {
        hn::StoreU(y, D4(), to);
      } else {
        alignas(16) float values[group];
        hn::Store(y, D4(), values);
        std::copy_n(values, count, to);
      }
    }
  }
}

// Few rows alone have too few sums to hide the latency of an addition: twice the outputs where they fit the registers.
template <int R>
constexpr int outputs_of = 2 * group* R + R + 1 <= registers ? 2 * group : group;

template <int R = most_rows>
void band(Index rows, const Linear& size, Tile t) {  // all outputs of `rows` rows; x stays in L1 while w streams past
  if constexpr (R > 1) {
    if (rows < R) return band<R - 1>(rows, size, t);
  }
  constexpr int O = outputs_of<R>;
  const float *w = t.w, *bias = t.bias;
  float* y = t.y;
  for (Index o = 0; o < size.out; o += O) {
    t.w = w + o * size.in;
    t.bias = bias ? bias + o : nullptr;
    t.y = y + o;
    t.outputs = size.out - o;
    dots<R, O>(t);
  }
}

void forward(const Linear& size, const float* x, const float* w, const float* bias, bool relu, float* y) {
  const Index bands = (size.rows + most_rows - 1) / most_rows;
  for (Index b = 0; b < bands; ++b) {  // of nearly equal height
    const Index row = size.rows * b / bands, end = size.rows * (b + 1) / bands;
    band(end - row, size, {size.in, size.out, x + row * size.in, w, bias, y + row * size.out, 0, relu});
  }
}

}  // namespace
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wengert::direct {
namespace {
constexpr decltype(&HWY_NAMESPACE::forward) forwards[] = WENGERT_EACH_TARGET(forward);
}  // namespace

void linear_forward(const Linear& size, const float* x, const float* w, const float* bias, bool relu, float* y) {
  forwards[target_index()](size, x, w, bias, relu, y);
}

}  // namespace wengert::direct
#endif
