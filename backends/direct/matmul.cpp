// The direct rung of matrix products whose right operand is read along its rows: x = y w, w = y^T x with or without Adam, and plain products.
// A tile of rows x vectors of columns stays in registers over the whole inner size: load the vectors of b, broadcast each element of a.
//   wengert bench op matmul
#include <algorithm>
#include <hwy/cache_control.h>
#include <wengert/backends/direct/matmul.hpp>
#include <wengert/backends/direct/target.hpp>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/matmul.cpp>
#include <wengert/backends/direct/highway-inl.hpp>
// after foreach_target.h
#include <wengert/backends/direct/adam-inl.hpp>

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace {

constexpr int most_rows = 6;
constexpr std::size_t cache_line = 64;
// Vectors of columns in a tile of so many rows: rows x vectors of sums, + those of b + 1 of a, fit the registers.
constexpr int most_vectors = 4;
constexpr int vectors_of(Index rows) { return registers == 32 || rows <= 2 ? most_vectors : rows <= 4 ? 3 : 2; }

// c = a b for one tile. a is stored (rows, inner), or (inner, rows) where `across`; pitches are those of what is stored.
template <bool across, int R, int C>
void tile(Index inner, const float* a, Index a_pitch, const float* b, Index b_pitch, float* c, Index c_pitch) {
  const D d;
  V sums[R][C];
  const float* row[R];
  UNROLL for (int r = 0; r < R; ++r) UNROLL for (int v = 0; v < C; ++v) sums[r][v] = hn::Zero(d);
  UNROLL for (int r = 0; r < R; ++r) row[r] = a + r * a_pitch;
  for (Index k = 0; k < inner; ++k, b += b_pitch) {
    V vectors[C];
    UNROLL for (int v = 0; v < C; ++v) vectors[v] = hn::LoadU(d, b + v * lanes);
    UNROLL for (int r = 0; r < R; ++r) {
      const V one = hn::Set(d, across ? a[r] : row[r][k]);
      UNROLL for (int v = 0; v < C; ++v) sums[r][v] = hn::MulAdd(one, vectors[v], sums[r][v]);
    }
    if constexpr (across) a += a_pitch;
  }
  UNROLL for (int r = 0; r < R; ++r) UNROLL for (int v = 0; v < C; ++v) hn::StoreU(sums[r][v], d, c + r * c_pitch + v * lanes);
}

using TileFunction = void (*)(Index, const float*, Index, const float*, Index, float*, Index);

template <bool across, int R>
TileFunction pick_vectors(Index vectors) {
  if constexpr (vectors_of(R) == 4) {
    if (vectors == 4) return &tile<across, R, 4>;
  }
  if constexpr (vectors_of(R) >= 3) {
    if (vectors == 3) return &tile<across, R, 3>;
  }
  return vectors == 2 ? &tile<across, R, 2> : &tile<across, R, 1>;
}

template <bool across>
TileFunction pick(Index rows, Index vectors) {
  switch (rows) {
    case 6: return pick_vectors<across, 6>(vectors);
    case 5: return pick_vectors<across, 5>(vectors);
    case 4: return pick_vectors<across, 4>(vectors);
    case 3: return pick_vectors<across, 3>(vectors);
    case 2: return pick_vectors<across, 2>(vectors);
    default: return pick_vectors<across, 1>(vectors);
  }
}

struct Product {
  Index rows, inner, columns;
  const float* a;
  Index a_pitch;
  const float* b;  // (inner, columns)
  float* c;        // (rows, columns), or null where the results are only handed on
};

HWY_INLINE void copy(const float* HWY_RESTRICT from, std::size_t count, float* HWY_RESTRICT to) {
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(hn::Load(D(), from + i), D(), to + i);
  if (i < count) store_first(hn::Load(D(), from + i), count - i, to + i);
}

const auto nothing_more = [](Index, Index, std::size_t, const float*) {};
const auto nothing_before = [](Index, Index, std::size_t) {};

// Writes c and hands each piece of a row of it to finish(row, column, count, values), values in c or in a buffer; told to start(row, column, count)
// while it is still to be computed. Strips of columns outside, so that a strip of b stays in L1.
template <bool across, class Start, class Finish>
HWY_INLINE void product(const Product& p, const Start& start, const Finish& finish) {
  alignas(64) float buffer[most_rows * most_vectors * lanes];
  const Index bands = (p.rows + most_rows - 1) / most_rows;
  const int widest = vectors_of(bands ? (p.rows + bands - 1) / bands : 0);
  const Index vectors = (p.columns + lanes - 1) / lanes, strips = (vectors + widest - 1) / widest;
  for (Index s = 0; s < strips; ++s) {  // strips and bands of nearly equal size
    const Index first = vectors * s / strips, wide = vectors * (s + 1) / strips - first;
    const Index column = first * lanes, pitch = wide * lanes, count = std::min(pitch, p.columns - column);
    for (Index b = 0; b < bands; ++b) {
      const Index row = p.rows * b / bands, high = p.rows * (b + 1) / bands - row;
      const float* a = p.a + (across ? row : row * p.a_pitch);
      float* c = p.c ? p.c + row * p.columns + column : nullptr;
      const bool in_place = c && count == pitch;
      float* to = in_place ? c : buffer;
      const Index to_pitch = in_place ? p.columns : pitch;
      for (Index r = 0; r < high; ++r) start(row + r, column, static_cast<std::size_t>(count));
      pick<across>(high, wide)(p.inner, a, p.a_pitch, p.b + column, p.columns, to, to_pitch);
      for (Index r = 0; r < high; ++r) {
        finish(row + r, column, static_cast<std::size_t>(count), to + r * to_pitch);
        if (c && !in_place) copy(buffer + r * pitch, static_cast<std::size_t>(count), c + r * p.columns);
      }
    }
  }
}

void data(const Linear& size, const float* y, const float* w, const float* gate, float* x) {
  const Product p{size.rows, size.out, size.in, y, size.out, w, x};
  if (!gate) return product<false>(p, nothing_before, nothing_more);
  product<false>(p, nothing_before, [&](Index row, Index column, std::size_t count, float* values) HWY_ATTR {
    const float* beside = gate + row * size.in + column;
    for (std::size_t i = 0; i < count; i += lanes) {  // of a whole strip, or of the buffer
      const auto closed = hn::Le(hn::LoadU(D(), beside + i), hn::Zero(D()));
      hn::StoreU(hn::IfThenZeroElse(closed, hn::LoadU(D(), values + i)), D(), values + i);
    }
  });
}

void column_sums(const Linear& size, const float* y, Index first, Index last, float* sums) {
  for (Index o = first; o < last; o += lanes) {
    V sum = hn::Zero(D());
    for (Index r = 0; r < size.rows; ++r) sum = hn::Add(sum, hn::LoadU(D(), y + r * size.out + o));
    store_first(sum, static_cast<std::size_t>(std::min<Index>(lanes, last - o)), sums + o);
  }
}

void weight(const Linear& size, const float* x, const float* y, Index first, Index last, float* w, float* bias) {
  product<true>({last - first, size.rows, size.in, y + first, size.out, x, w + first * size.in}, nothing_before, nothing_more);
  if (bias) column_sums(size, y, first, last, bias);
}

void weight_adam(const Linear& size, const AdamStep& step, const float* x, const float* y, Index first, Index last, float* w, float* m,
                 float* v) {
  const AdamConstants constants = adam_constants(step);
  const Product gradient{last - first, size.rows, size.in, y + first, size.out, x, nullptr};
  const auto at = [&](Index row, Index column) { return (first + row) * size.in + column; };
  // The parameters and moments of a layer lie beyond L2, in pieces too short for the processor to foresee: fetched while their gradient is computed.
  const auto fetch = [&](Index row, Index column, std::size_t count) {
    for (const float* from : {w + at(row, column), m + at(row, column), v + at(row, column)}) {
      for (std::size_t i = 0; i < count; i += cache_line / sizeof(float)) hwy::Prefetch(from + i);
      hwy::Prefetch(from + count - 1);
    }
  };
  product<true>(gradient, fetch, [&](Index row, Index column, std::size_t count, const float* values) HWY_ATTR {
    adam_run(constants, count, values, w + at(row, column), m + at(row, column), v + at(row, column));
  });
}

// c (rows, columns) where the operands may be stored transposed.
void multiply(Index rows, Index inner, Index columns, bool transpose_a, bool transpose_b, const float* a, const float* b, float* c) {
  const auto turn = [&](Index row, Index column, std::size_t count, const float* values) HWY_ATTR {
    for (std::size_t i = 0; i < count; ++i) c[(column + static_cast<Index>(i)) * columns + row] = values[i];
  };
  if (!transpose_b && !transpose_a) product<false>({rows, inner, columns, a, inner, b, c}, nothing_before, nothing_more);
  else if (!transpose_b) product<true>({rows, inner, columns, a, rows, b, c}, nothing_before, nothing_more);
  else if (transpose_a)
    product<false>({columns, inner, rows, b, inner, a, nullptr}, nothing_before,
                   turn);  // c^T = b a: neither can be read along its rows for c
  else linear_forward({rows, inner, columns}, a, b, nullptr, false, c);
}

}  // namespace
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wengert::direct {
namespace {
constexpr decltype(&HWY_NAMESPACE::data) datas[] = WENGERT_EACH_TARGET(data);
constexpr decltype(&HWY_NAMESPACE::weight) weights[] = WENGERT_EACH_TARGET(weight);
constexpr decltype(&HWY_NAMESPACE::weight_adam) weight_adams[] = WENGERT_EACH_TARGET(weight_adam);
constexpr decltype(&HWY_NAMESPACE::multiply) multiplies[] = WENGERT_EACH_TARGET(multiply);
}  // namespace

void linear_data(const Linear& size, const float* y, const float* w, const float* gate, float* x) {
  datas[target_index()](size, y, w, gate, x);
}

void linear_weight(const Linear& size, const float* x, const float* y, Index first, Index last, float* w, float* bias) {
  weights[target_index()](size, x, y, first, last, w, bias);
}

void linear_weight_adam(const Linear& size, const AdamStep& step, const float* x, const float* y, Index first, Index last, float* w,
                        float* m, float* v) {
  weight_adams[target_index()](size, step, x, y, first, last, w, m, v);
}

void matmul(Index rows, Index inner, Index columns, bool transpose_a, bool transpose_b, const float* a, const float* b, float* c) {
  multiplies[target_index()](rows, inner, columns, transpose_a, transpose_b, a, b, c);
}

}  // namespace wengert::direct
#endif
