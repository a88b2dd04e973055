// Direct rung of layouts: reorders between nchw and nhwc8 as 4x4 transposes in registers; bias added and summed in either layout.
//   wengert bench op reorder --kernel direct
#include <wengert/backends/direct/elementwise.hpp>

#include <cassert>

#include <wengert/backends/direct/target.hpp>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/layout.cpp>
#include <wengert/backends/direct/highway-inl.hpp>
#include <wengert/backends/direct/channels-inl.hpp>
#include <wengert/backends/direct/transpose-inl.hpp>

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace {

// ---- One block: `channels` (at most 8) planes <-> pixels of eight channels.

HWY_INLINE V8 plane_at(const float* planes, Index pixels, Index channels, Index channel, Index pixel) {
  return channel < channels ? hn::LoadU(D8(), planes + channel * pixels + pixel) : hn::Zero(D8());
}

void block_to_nhwc8(Index channels, Index pixels, const float* planes, float* block) {
  if (pixels < lanes8) {
    for (Index p = 0; p < pixels; ++p) {
      for (Index c = 0; c < 8; ++c) block[8 * p + c] = c < channels ? planes[c * pixels + p] : 0.0f;
    }
    return;
  }
  for (Index from = 0; from < pixels; from += lanes8) {
    const Index p = std::min(from, pixels - lanes8);  // the last vectors overlap those before
    V8 lower[4], upper[4];
    UNROLL for (int i = 0; i < 4; ++i) {
      lower[i] = plane_at(planes, pixels, channels, i, p);
      upper[i] = plane_at(planes, pixels, channels, i + 4, p);
    }
    store_pixels(lower, upper, block + 8 * p);
  }
}

void block_to_nchw(Index channels, Index pixels, const float* block, float* planes) {
  if (pixels < lanes8) {
    for (Index c = 0; c < channels; ++c) {
      for (Index p = 0; p < pixels; ++p) planes[c * pixels + p] = block[8 * p + c];
    }
    return;
  }
  for (Index from = 0; from < pixels; from += lanes8) {
    const Index p = std::min(from, pixels - lanes8);
    UNROLL for (int half = 0; half < 2; ++half) {
      V8 v[4];
      load_channels(block + 8 * p, half, v);
      UNROLL for (int i = 0; i < 4; ++i) {
        if (4 * half + i < channels) hn::StoreU(v[i], D8(), planes + (4 * half + i) * pixels + p);
      }
    }
  }
}

void reorder_work(bool to_nhwc8, Index images, Index channels, Index pixels, const float* in, float* out) {
  const ChannelRuns planes{Layout::nchw, channels, pixels}, blocks{Layout::nhwc8, channels, pixels};
  for (Index n = 0; n < images; ++n) {
    for (Index c = 0; c < channels; c += 8) {
      const Index plane = planes.offset(n, c), block = blocks.offset(n, c), count = std::min<Index>(8, channels - c);
      if (to_nhwc8) block_to_nhwc8(count, pixels, in + plane, out + block);
      else block_to_nchw(count, pixels, in + block, out + plane);
    }
  }
}

// ---- Bias.

template <bool relu>
struct Shifted {
  V shift;
  HWY_INLINE V operator()(V x, V) const {
    const V y = hn::Add(x, shift);
    return relu ? max_of(hn::Zero(D()), y) : y;  // this way round NaN passes
  }
};
template <bool relu>
struct MakeShifted {
  const Turns& shift;
  HWY_INLINE Shifted<relu> operator()(Index phase) const { return {turns_at(shift, phase)}; }
};

void add_channels_work(const ChannelRuns& runs, Index images, const float* x, const float* b, bool relu, float* out) {
  for (Index c = 0; c < runs.channels; c += runs.width()) {
    const Turns shift(runs.width(), runs.count(c, runs.channels), b + c);
    for (Index n = 0; n < images; ++n) {
      const Index at = runs.offset(n, c), length = runs.length(c, runs.channels);
      if (relu) map_run(runs.width(), length, x + at, x + at, out + at, MakeShifted<true>{shift});
      else map_run(runs.width(), length, x + at, x + at, out + at, MakeShifted<false>{shift});
    }
  }
}

struct Itself {
  HWY_INLINE void operator()(V x, V, V* term) const { term[0] = x; }
};
struct MakeItself {
  HWY_INLINE Itself operator()(Index) const { return {}; }
};

void sum_channels_work(const ChannelRuns& runs, Index images, const float* x, float* out) {
  for (Index c = 0; c < runs.channels; c += runs.width()) {
    double totals[1][8] = {};
    for (Index n = 0; n < images; ++n) {
      const float* const run = x + runs.offset(n, c);
      sum_run<1>(runs.width(), runs.length(c, runs.channels), run, run, MakeItself{}, totals);
    }
    for (Index j = 0; j < runs.count(c, runs.channels); ++j) out[c + j] = static_cast<float>(totals[0][j]);
  }
}

}  // namespace
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wengert::direct {
namespace {
constexpr decltype(&HWY_NAMESPACE::reorder_work) reorder_works[] = WENGERT_EACH_TARGET(reorder_work);
constexpr decltype(&HWY_NAMESPACE::add_channels_work) add_channels_works[] = WENGERT_EACH_TARGET(add_channels_work);
constexpr decltype(&HWY_NAMESPACE::sum_channels_work) sum_channels_works[] = WENGERT_EACH_TARGET(sum_channels_work);
}  // namespace

void reorder(Layout from, [[maybe_unused]] Layout to, Index images, Index channels, Index pixels, const void* in, void* out) {
  assert((from == Layout::nchw && to == Layout::nhwc8) || (from == Layout::nhwc8 && to == Layout::nchw));
  // Only moved, never computed with: the bits of any 4-byte element survive.
  reorder_works[target_index()](from == Layout::nchw, images, channels, pixels, static_cast<const float*>(in), static_cast<float*>(out));
}

void add_channels(Layout layout, Index images, Index channels, Index pixels, const float* x, const float* b, bool relu, float* out) {
  add_channels_works[target_index()]({layout, channels, pixels}, images, x, b, relu, out);
}

void sum_channels(Layout layout, Index images, Index channels, Index pixels, const float* x, float* out) {
  sum_channels_works[target_index()]({layout, channels, pixels}, images, x, out);
}

}  // namespace wengert::direct
#endif
