// Rung direct, convolution: max pool of rows that are still in the nearest cache, the gate of a gradient, and the way between layouts.
// Timed as a part of conv_dense.cpp.
#include <algorithm>
#include <cstring>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/conv_rows.cpp>
#include <wengert/backends/direct/conv_rows.hpp>
#include <wengert/backends/direct/highway-inl.hpp>

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace {

constexpr int part = lanes < 8 ? lanes : 8;
using DP = hn::FixedTag<float, part>;
using DI = hn::RebindToSigned<DP>;
using VP = hn::Vec<DP>;
using VI = hn::Vec<DI>;

// The first of the largest so far and its position; the first NaN, once there is one.
struct Best {
  VP value;
  VI at;
  HWY_INLINE void offer(VP v, Index position) {
    const auto takes = hn::AndNot(hn::Le(v, value), hn::Eq(value, value));
    value = hn::IfThenElse(takes, v, value);
    at = hn::IfThenElse(hn::RebindMask(DI(), takes), hn::Set(DI(), static_cast<std::int32_t>(position)), at);
  }
};

// A window of `height` x `width` (0: any) whose first element is (top, left).
template <int height, int width>
HWY_INLINE void pool_window(const PoolCall& c, Index top, Index left, Index h, Index w, Index out_column) {
  const Index plane_width = c.pool->width;
  for (int lane = 0; lane < 8; lane += part) {
    const float* first = c.rows + top % c.ring * c.pitch + left * 8 + lane;
    Best best{hn::LoadU(DP(), first), hn::Set(DI(), static_cast<std::int32_t>(top * plane_width + left))};
    const Index rows = height > 0 ? height : h, columns = width > 0 ? width : w;
    for (Index i = 0; i < rows; ++i) {
      const float* row = i == 0 ? first : c.rows + (top + i) % c.ring * c.pitch + left * 8 + lane;
      for (Index j = 0; j < columns; ++j)
        if (i + j > 0) best.offer(hn::LoadU(DP(), row + j * 8), (top + i) * plane_width + left + j);
    }
    const Index to = out_column * 8 + lane;
    hn::StoreU(max_of(hn::Set(DP(), c.floor), best.value), DP(), c.out + to);
    if (c.positions != nullptr) hn::StoreU(best.at, DI(), c.positions + to);
  }
}

void pool_row(const PoolCall& c) {
  const PoolGeometry& g = *c.pool;
  const Index high = c.out_row * g.stride_height - g.pad_top, top = std::max<Index>(0, high);
  const Index rows = std::min(g.height, high + g.window_height) - top;
  const bool two = rows == 2 && g.window_width == 2;
  for (Index i = 0; i < g.out_width; ++i) {
    const Index low = i * g.stride_width - g.pad_left, left = std::max<Index>(0, low);
    const Index columns = std::min(g.width, low + g.window_width) - left;
    if (two && columns == 2) pool_window<2, 2>(c, top, left, 2, 2, i);
    else pool_window<0, 0>(c, top, left, rows, columns, i);
  }
}

void gate(Index count, const float* gate, float* out) {
  const D d;
  Index i = 0;
  for (; i + lanes <= count; i += lanes)
    hn::StoreU(hn::IfThenZeroElse(hn::Le(hn::LoadU(d, gate + i), hn::Zero(d)), hn::LoadU(d, out + i)), d, out + i);
  for (; i < count; ++i)
    if (gate[i] <= 0) out[i] = 0;
}

using D4 = hn::FixedTag<float, 4>;
using V4 = hn::Vec<D4>;

HWY_INLINE void transpose(V4 (&v)[4]) {
  const hn::Repartition<double, D4> wide;
  const V4 a = hn::InterleaveLower(D4(), v[0], v[1]), b = hn::InterleaveUpper(D4(), v[0], v[1]);
  const V4 c = hn::InterleaveLower(D4(), v[2], v[3]), e = hn::InterleaveUpper(D4(), v[2], v[3]);
  const auto low = [&](V4 x, V4 y)
                       HWY_ATTR { return hn::BitCast(D4(), hn::InterleaveLower(wide, hn::BitCast(wide, x), hn::BitCast(wide, y))); };
  const auto high = [&](V4 x, V4 y)
                        HWY_ATTR { return hn::BitCast(D4(), hn::InterleaveUpper(wide, hn::BitCast(wide, x), hn::BitCast(wide, y))); };
  v[0] = low(a, c), v[1] = high(a, c), v[2] = low(b, e), v[3] = high(b, e);
}

void to_planes(Index pixels, Index channels, Index pixel, const float* in, float* out) {
  Index i = 0;
  for (; i + 4 <= pixels; i += 4)
    for (Index half = 0; half < channels; half += 4) {
      V4 v[4];
      UNROLL
      for (int k = 0; k < 4; ++k) v[k] = hn::LoadU(D4(), in + (i + k) * pixel + half);
      transpose(v);
      UNROLL
      for (int k = 0; k < 4; ++k)
        if (half + k < channels) hn::StoreU(v[k], D4(), out + (half + k) * pixels + i);
    }
  for (; i < pixels; ++i)
    for (Index c = 0; c < channels; ++c) std::memcpy(out + c * pixels + i, in + i * pixel + c, sizeof(float));
}

void from_planes(Index pixels, Index channels, const float* in, float* out) {
  Index i = 0;
  for (; i + 4 <= pixels; i += 4)
    for (Index half = 0; half < 8; half += 4) {
      V4 v[4];
      UNROLL
      for (int k = 0; k < 4; ++k) v[k] = half + k < channels ? hn::LoadU(D4(), in + (half + k) * pixels + i) : hn::Zero(D4());
      transpose(v);
      UNROLL
      for (int k = 0; k < 4; ++k) hn::StoreU(v[k], D4(), out + (i + k) * 8 + half);
    }
  for (; i < pixels; ++i)
    for (Index c = 0; c < 8; ++c) out[i * 8 + c] = c < channels ? in[c * pixels + i] : 0.0f;
}

constexpr RowFunctions functions{&pool_row, &gate, &to_planes, &from_planes};

}  // namespace
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <wengert/backends/direct/target.hpp>
namespace wengert::direct {

RowFunctions row_functions() {
  static constexpr RowFunctions each[] = WENGERT_EACH_TARGET(functions);
  return each[target_index()];
}

}  // namespace wengert::direct
#endif
