// Direct rung of pooling, forward. In nhwc8 the eight channels of a pixel stand side by side, so that any window is a few vector operations
// an element; 16 lanes take two outputs at once. In nchw a vector holds neighbouring outputs of a row, loaded with the stride.
//   wengert bench op max_pool2d --kernel direct
#include <wengert/backends/direct/elementwise.hpp>

#include <cmath>
#include <numeric>
#include <type_traits>

#include <wengert/backends/direct/target.hpp>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/pool.cpp>
#include <wengert/backends/direct/highway-inl.hpp>
#include <wengert/backends/direct/pool-inl.hpp>
#include <wengert/backends/direct/transpose-inl.hpp>

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace {

// The two reductions of a window. Elements are taken last first: then the rule "larger or equal, or NaN" leaves the first maximum, and the
// first NaN if there is one. Positions are held as the bits of integers.
template <class T>
struct Maximum {
  static constexpr bool has_position = true;
  hn::Vec<T> value, at;
  HWY_INLINE Maximum(hn::Vec<T> x, hn::Vec<T> position) : value(x), at(position) {}
  HWY_INLINE void take(hn::Vec<T> x, hn::Vec<T> position) {
    const auto better = hn::Or(hn::Ge(x, value), hn::IsNaN(x));
    value = hn::IfThenElse(better, x, value);
    at = hn::IfThenElse(better, position, at);
  }
  HWY_INLINE hn::Vec<T> result(float) const { return value; }
};

template <class T>
struct Average {
  static constexpr bool has_position = false;
  hn::Vec<T> value;
  HWY_INLINE Average(hn::Vec<T> x, hn::Vec<T>) : value(x) {}
  HWY_INLINE void take(hn::Vec<T> x, hn::Vec<T>) { value = hn::Add(value, x); }
  HWY_INLINE hn::Vec<T> result(float share) const { return hn::Mul(value, hn::Set(T(), share)); }
};

template <class T>
HWY_INLINE hn::Vec<T> position_bits(Index position) {
  return hn::BitCast(T(), hn::Set(hn::RebindToSigned<T>(), static_cast<std::int32_t>(position)));
}

// The value behind a pool, and where it goes.
struct Target {
  bool relu;
  float* y;
  std::int32_t* positions;  // or null

  template <class T>
  HWY_INLINE hn::Vec<T> clipped(T d, hn::Vec<T> y_values) const {
    return relu ? max_of(hn::Zero(d), y_values) : y_values;  // this way round NaN passes
  }
};

// ---- nhwc8

// A pixel's lanes; those of its neighbour at `next` too where T holds 16.
template <class T>
HWY_INLINE hn::Vec<T> load_pixels(const float* p, [[maybe_unused]] Index next) {
  if constexpr (hn::MaxLanes(T()) == 16) return hn::Combine(T(), hn::LoadU(D8(), p + next), hn::LoadU(D8(), p));
  else return hn::LoadU(T(), p);
}

// The lanes of the channels that a block has; all ones or zero. Two pixels long.
struct BlockMask {
  alignas(64) std::int32_t lane[16];
  explicit BlockMask(Index channels) {
    for (Index j = 0; j < 16; ++j) lane[j] = j % 8 < channels ? -1 : 0;
  }
};

// One output, two where T has 16 lanes, from the window rows x columns of the first; `height` and `width` are its size where that is known
// at compile time, else 0.
template <template <class> class Reduction, class T, int height, int width>
HWY_INLINE void reduce(const PoolGeometry& g, const float* plane, Extent rows, Extent columns, const BlockMask& mask, Index lane,
                       const Target& target, Index output) {
  const T d;
  const hn::RebindToSigned<T> integers;
  const Index pitch = 8 * g.width, next = 8 * g.stride_width;
  const float* const corner = plane + rows.first * pitch + 8 * columns.first + lane;
  const Index h_end = height > 0 ? height : rows.size(), w_end = width > 0 ? width : columns.size();
  // Positions count from the window's corner, which makes them constants of the loop over outputs.
  Reduction<T> best(load_pixels<T>(corner + (h_end - 1) * pitch + 8 * (w_end - 1), next),
                    position_bits<T>((h_end - 1) * g.width + w_end - 1));
  const auto take_row = [&](Index h, Index end) HWY_ATTR {
    for (Index w = end; w-- > 0;) best.take(load_pixels<T>(corner + h * pitch + 8 * w, next), position_bits<T>(h * g.width + w));
  };
  if constexpr (height > 0) {
    UNROLL for (int h = height - 1; h >= 0; --h) {
      UNROLL for (int w = h == height - 1 ? width - 2 : width - 1; w >= 0; --w) {
        best.take(load_pixels<T>(corner + h * pitch + 8 * w, next), position_bits<T>(h * g.width + w));
      }
    }
  } else {
    take_row(h_end - 1, w_end - 1);
    for (Index h = h_end - 1; h-- > 0;) take_row(h, w_end);
  }
  const Index at = 8 * output + lane;
  hn::StoreU(target.clipped(d, best.result(share_of(g, rows, columns))), d, target.y + at);
  if constexpr (Reduction<T>::has_position) {
    if (target.positions == nullptr) return;
    auto first = hn::Set(integers, static_cast<std::int32_t>(rows.first * g.width + columns.first));
    if constexpr (hn::MaxLanes(T()) == 16) {
      const auto second = hn::Set(integers, static_cast<std::int32_t>(rows.first * g.width + columns.first + g.stride_width));
      first = hn::ConcatUpperLower(integers, second, first);
    }
    const auto position = hn::Add(first, hn::BitCast(integers, best.at));
    hn::StoreU(hn::And(position, hn::LoadU(integers, mask.lane + lane)), integers, target.positions + at);
  }
}

// A row of outputs: those at the border one by one, the others by whole vectors.
template <template <class> class Reduction, int height, int width>
void reduce_row(const PoolGeometry& g, const float* plane, Extent rows, const BlockMask& mask, const Target& target, Index output) {
  using Wide = std::conditional_t<lanes == 16, D, D8>;
  constexpr Index outputs = lanes == 16 ? 2 : 1;
  const PoolAxis axis = columns_of(g);
  const Extent whole = axis.whole();
  for (Index lane = 0; lane < 8; lane += lanes8) {
    const auto one = [&](Index o) HWY_ATTR { reduce<Reduction, D8, 0, 0>(g, plane, rows, axis.extent(o), mask, lane, target, output + o); };
    for (Index o = 0; o < whole.first; ++o) one(o);
    Index o = whole.first;
    for (; o + outputs <= whole.last; o += outputs)
      reduce<Reduction, Wide, height, width>(g, plane, rows, axis.extent(o), mask, lane, target, output + o);
    for (; o < axis.out; ++o) one(o);
  }
}

template <template <class> class Reduction>
void pool_nhwc8(const PoolGeometry& g, Index images, const float* x, const Target& target) {
  const PoolAxis axis = rows_of(g);
  const Index blocks = (g.channels + 7) / 8;
  for (Index b = 0; b < images * blocks; ++b) {
    const BlockMask mask(g.channels - b % blocks * 8);
    const float* const plane = x + b * 8 * g.height * g.width;
    for (Index o = 0; o < g.out_height; ++o) {
      const Extent rows = axis.extent(o);
      const Index output = (b * g.out_height + o) * g.out_width;
      const bool whole = rows.size() == g.window_height;
      if (whole && g.window_height == 2 && g.window_width == 2) reduce_row<Reduction, 2, 2>(g, plane, rows, mask, target, output);
      else if (whole && g.window_height == 3 && g.window_width == 3) reduce_row<Reduction, 3, 3>(g, plane, rows, mask, target, output);
      else reduce_row<Reduction, 0, 0>(g, plane, rows, mask, target, output);
    }
  }
}

// ---- nchw

// p[0], p[stride], ... `count` (at most `lanes`) of them. Whole vectors are read where they lie before `end`, the end of the input.
HWY_INLINE V load_strided(const float* p, Index stride, Index count, const float* end) {
  const D d;
  if (stride == 1) return end - p >= lanes ? hn::LoadU(d, p) : load_first(static_cast<std::size_t>(count), p);
  if (stride == 2) {
    if (end - p >= 2 * lanes) return hn::ConcatEven(d, hn::LoadU(d, p + lanes), hn::LoadU(d, p));
    const Index used = 2 * count - 1;  // what lies between them
    const V near = load_first(static_cast<std::size_t>(std::min<Index>(used, lanes)), p);
    const V far = used > lanes ? load_first(static_cast<std::size_t>(used - lanes), p + lanes) : hn::Zero(d);
    return hn::ConcatEven(d, far, near);
  }
  alignas(64) float all[lanes] = {};
  for (Index i = 0; i < count; ++i) all[i] = p[i * stride];
  return hn::Load(d, all);
}

// Neighbouring outputs of a row, `count` of them (at most `lanes`); the window of the first is rows x columns.
template <template <class> class Reduction>
HWY_INLINE void reduce_neighbours(const PoolGeometry& g, const float* plane, const float* end, Extent rows, Extent columns, Index count,
                                  const Target& target, Index output) {
  const D d;
  const hn::RebindToSigned<D> integers;
  const Index last_row = rows.last - 1, last_column = columns.last - 1;
  const auto element = [&](Index h, Index w) HWY_ATTR { return load_strided(plane + h * g.width + w, g.stride_width, count, end); };
  Reduction<D> best(element(last_row, last_column), position_bits<D>(last_row * g.width + last_column));
  for (Index h = rows.last; h-- > rows.first;) {
    for (Index w = h == last_row ? last_column : columns.last; w-- > columns.first;)
      best.take(element(h, w), position_bits<D>(h * g.width + w));
  }
  const auto n = static_cast<std::size_t>(count);
  store_first(target.clipped(d, best.result(share_of(g, rows, columns))), n, target.y + output);
  if constexpr (Reduction<D>::has_position) {
    if (target.positions == nullptr) return;
    const auto steps = hn::Mul(hn::Iota(integers, 0), hn::Set(integers, static_cast<std::int32_t>(g.stride_width)));
    const auto position = hn::Add(hn::BitCast(integers, best.at), steps);
    store_first(hn::BitCast(d, position), n, reinterpret_cast<float*>(target.positions + output));
  }
}

// One output: at the border, or where it is the only one of its row.
void maximum_of(const PoolGeometry& g, const float* plane, Extent rows, Extent columns, const Target& target, Index output) {
  Index best = rows.first * g.width + columns.first;
  for (Index h = rows.first; h < rows.last; ++h) {
    for (Index i = h * g.width + columns.first; i < h * g.width + columns.last; ++i) {
      if (plane[i] > plane[best] || (std::isnan(plane[i]) && !std::isnan(plane[best]))) best = i;
    }
  }
  target.y[output] = target.relu && plane[best] <= 0 ? 0 : plane[best];
  if (target.positions != nullptr) target.positions[output] = static_cast<std::int32_t>(best);
}

float sum_of(const float* p, Index count) {
  if (count < lanes) return std::accumulate(p, p + count, 0.0f);
  V sum = hn::Zero(D());
  for (Index i = 0; i < count; i += lanes)
    sum = hn::Add(sum, load_first(static_cast<std::size_t>(std::min<Index>(lanes, count - i)), p + i));
  return hn::GetLane(hn::SumOfLanes(D(), sum));
}

void average_of(const PoolGeometry& g, const float* plane, Extent rows, Extent columns, const Target& target, Index output) {
  float sum = 0;
  if (columns.size() == g.width) sum = sum_of(plane + rows.first * g.width, rows.size() * g.width);  // as in a global average
  else
    for (Index h = rows.first; h < rows.last; ++h) sum += sum_of(plane + h * g.width + columns.first, columns.size());
  target.y[output] = sum * share_of(g, rows, columns);
}

template <template <class> class Reduction>
void pool_nchw(const PoolGeometry& g, Index images, const float* x, const Target& target) {
  const PoolAxis axis = columns_of(g);
  const Extent whole = axis.whole();
  const float* const end = x + images * g.channels * g.height * g.width;
  Index output = 0;
  for (const float* plane = x; plane != end; plane += g.height * g.width) {
    for (Index oh = 0; oh < g.out_height; ++oh, output += g.out_width) {
      const Extent rows = rows_of(g).extent(oh);
      for (Index o = 0; o < g.out_width;) {
        const Index neighbours = o >= whole.first ? whole.last - o : 0;
        if (neighbours > 1 || (neighbours == 1 && whole.size() > lanes)) {
          // The last vector of a row overlaps the one before.
          const Index from = std::max(std::min(o, whole.last - lanes), whole.first), count = std::min<Index>(lanes, whole.last - from);
          reduce_neighbours<Reduction>(g, plane, end, rows, axis.extent(from), count, target, output + from);
          o = from + count;
        } else {
          if constexpr (Reduction<D>::has_position) maximum_of(g, plane, rows, axis.extent(o), target, output + o);
          else average_of(g, plane, rows, axis.extent(o), target, output + o);
          ++o;
        }
      }
    }
  }
}

void max_pool_work(Layout layout, const PoolGeometry& g, Index images, const float* x, bool relu, float* y, std::int32_t* positions) {
  const Target target{relu, y, positions};
  if (layout == Layout::nhwc8) pool_nhwc8<Maximum>(g, images, x, target);
  else pool_nchw<Maximum>(g, images, x, target);
}

void average_pool_work(Layout layout, const PoolGeometry& g, Index images, const float* x, float* y) {
  const Target target{false, y, nullptr};
  if (layout == Layout::nhwc8) pool_nhwc8<Average>(g, images, x, target);
  else pool_nchw<Average>(g, images, x, target);
}

}  // namespace
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wengert::direct {
namespace {
constexpr decltype(&HWY_NAMESPACE::max_pool_work) max_pool_works[] = WENGERT_EACH_TARGET(max_pool_work);
constexpr decltype(&HWY_NAMESPACE::average_pool_work) average_pool_works[] = WENGERT_EACH_TARGET(average_pool_work);
}  // namespace

void max_pool(Layout layout, const PoolGeometry& g, Index images, const float* x, bool relu, float* y, std::int32_t* positions) {
  max_pool_works[target_index()](layout, g, images, x, relu, y, positions);
}

void average_pool(Layout layout, const PoolGeometry& g, Index images, const float* x, float* y) {
  average_pool_works[target_index()](layout, g, images, x, y);
}

}  // namespace wengert::direct
#endif
