// Direct rung of pooling's gradients. In nhwc8 every window hands each of its elements a part of the output's gradient: the share, or for max
// pooling all or nothing as its position says; windows that lie apart only store. In nchw plain loops, which scatter.
//   wengert bench op average_pool2d_data --kernel direct
#include <wengert/backends/direct/elementwise.hpp>

#include <wengert/backends/direct/target.hpp>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/pool_data.cpp>
#include <wengert/backends/direct/highway-inl.hpp>
#include <wengert/backends/direct/pool-inl.hpp>
#include <wengert/backends/direct/transpose-inl.hpp>

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace {

// The part of an output's gradient that goes to one element of its window. `at` counts floats or integers in the layout of y.
struct Winner {
  const std::int32_t* positions;

  struct Output {
    V8 y;
    hn::Vec<hn::RebindToSigned<D8>> position;
    HWY_INLINE V8 part(Index element) const {
      const hn::RebindToSigned<D8> integers;
      return hn::IfThenElseZero(hn::RebindMask(D8(), hn::Eq(position, hn::Set(integers, static_cast<std::int32_t>(element)))), y);
    }
  };
  HWY_INLINE Output output(const PoolGeometry&, const float* y, Index at, Extent, Extent) const {
    return {hn::LoadU(D8(), y + at), hn::LoadU(hn::RebindToSigned<D8>(), positions + at)};
  }
};

struct Share {
  struct Output {
    V8 share;
    HWY_INLINE V8 part(Index) const { return share; }
  };
  HWY_INLINE Output output(const PoolGeometry& g, const float* y, Index at, Extent rows, Extent columns) const {
    return {hn::Mul(hn::LoadU(D8(), y + at), hn::Set(D8(), share_of(g, rows, columns)))};
  }
};

template <bool apart, class Part>
void spread_nhwc8(const PoolGeometry& g, Index images, const float* y, const Part& part, float* x) {
  const PoolAxis vertical = rows_of(g), horizontal = columns_of(g);
  const Index blocks = images * ((g.channels + 7) / 8), plane_floats = 8 * g.height * g.width;
  const bool covered = vertical.covered() && horizontal.covered();
  Index at = 0;  // of the output
  for (Index b = 0; b < blocks; ++b) {
    float* const plane = x + b * plane_floats;
    if (!covered) std::fill_n(plane, plane_floats, 0.0f);
    for (Index oh = 0; oh < g.out_height; ++oh) {
      const Extent rows = vertical.extent(oh);
      for (Index ow = 0; ow < g.out_width; ++ow, at += 8) {
        const Extent columns = horizontal.extent(ow);
        for (Index lane = 0; lane < 8; lane += lanes8) {
          const auto output = part.output(g, y, at + lane, rows, columns);
          for (Index h = rows.first; h < rows.last; ++h) {
            for (Index element = h * g.width + columns.first; element < h * g.width + columns.last; ++element) {
              float* const to = plane + 8 * element + lane;
              const V8 value = output.part(element);
              hn::StoreU(apart ? value : hn::Add(hn::LoadU(D8(), to), value), D8(), to);
            }
          }
        }
      }
    }
  }
}

template <class Part>
void spread_nhwc8(const PoolGeometry& g, Index images, const float* y, const Part& part, float* x) {
  if (rows_of(g).apart() && columns_of(g).apart()) spread_nhwc8<true>(g, images, y, part, x);
  else spread_nhwc8<false>(g, images, y, part, x);
}

void max_pool_data_work(Layout layout, const PoolGeometry& g, Index images, const float* y, const std::int32_t* positions, float* x) {
  if (layout == Layout::nhwc8) return spread_nhwc8(g, images, y, Winner{positions}, x);
  const Index in = g.height * g.width, out = g.out_height * g.out_width;
  for (Index p = 0; p < images * g.channels; ++p, x += in, y += out, positions += out) {
    std::fill_n(x, in, 0.0f);
    for (Index o = 0; o < out; ++o) x[positions[o]] += y[o];
  }
}

void average_pool_data_work(Layout layout, const PoolGeometry& g, Index images, const float* y, float* x) {
  if (layout == Layout::nhwc8) return spread_nhwc8(g, images, y, Share{}, x);
  for (Index p = 0; p < images * g.channels; ++p, x += g.height * g.width) {
    std::fill_n(x, g.height * g.width, 0.0f);
    for (Index oh = 0; oh < g.out_height; ++oh) {
      const Extent rows = rows_of(g).extent(oh);
      for (Index ow = 0; ow < g.out_width; ++ow, ++y) {
        const Extent columns = columns_of(g).extent(ow);
        const float share = *y * share_of(g, rows, columns);
        for (Index h = rows.first; h < rows.last; ++h) {
          for (Index w = columns.first; w < columns.last; ++w) x[h * g.width + w] += share;
        }
      }
    }
  }
}

}  // namespace
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wengert::direct {
namespace {
constexpr decltype(&HWY_NAMESPACE::max_pool_data_work) max_pool_works[] = WENGERT_EACH_TARGET(max_pool_data_work);
constexpr decltype(&HWY_NAMESPACE::average_pool_data_work) average_pool_works[] = WENGERT_EACH_TARGET(average_pool_data_work);
}  // namespace

void max_pool_data(Layout layout, const PoolGeometry& g, Index images, const float* y, const std::int32_t* positions, float* x) {
  max_pool_works[target_index()](layout, g, images, y, positions, x);
}

void average_pool_data(Layout layout, const PoolGeometry& g, Index images, const float* y, float* x) {
  average_pool_works[target_index()](layout, g, images, y, x);
}

}  // namespace wengert::direct
#endif
