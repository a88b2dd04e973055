// Kernels that treat every channel by numbers of its own: the runs of memory in which channels lie, and sums over them. Private to the .cpp
// files of backends/direct/; to be included after highway-inl.hpp.
#ifndef WENGERT_DIRECT_CHANNELS_ONCE
#define WENGERT_DIRECT_CHANNELS_ONCE

#include <algorithm>

#include <wengert/engine/view.hpp>

namespace wengert::direct {

// An image's values lie in runs: of one channel in nchw, of the eight channels of a block, taking turns, in nhwc8. With one pixel nchw is
// cut in runs of eight channels too, which then vary along a vector. A run is named by its first channel.
struct ChannelRuns {
  Layout layout = Layout::nhwc8;
  Index channels = 0, pixels = 0;

  Index width() const { return layout == Layout::nhwc8 || pixels == 1 ? 8 : 1; }  // channels a run: the period in which they take turns
  Index count(Index first, Index last) const { return std::min(width(), last - first); }  // channels in the run, [0, last) given
  Index offset(Index image, Index first) const {
    return layout == Layout::nhwc8 ? (image * ((channels + 7) / 8 * 8) + first) * pixels : (image * channels + first) * pixels;
  }
  Index length(Index first, Index last) const { return layout == Layout::nhwc8 ? 8 * pixels : count(first, last) * pixels; }
};

// Numbers of the `count` channels of a run, one each, repeated in their turns as far as the widest vector reaches; 0 for channels beyond.
struct Turns {
  alignas(64) float values[16];

  Turns(Index width, Index count, const float* of_channels) {
    for (Index j = 0; j < 16; ++j) values[j] = (j & (width - 1)) < count ? of_channels[j & (width - 1)] : 0.0f;
  }
};

}  // namespace wengert::direct
#endif

#if defined(WENGERT_DIRECT_CHANNELS_TARGET) == defined(HWY_TARGET_TOGGLE)  // once a target
#ifdef WENGERT_DIRECT_CHANNELS_TARGET
#undef WENGERT_DIRECT_CHANNELS_TARGET
#else
#define WENGERT_DIRECT_CHANNELS_TARGET
#endif

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {

// Vectors begin at multiples of this within a run; where it is more than a vector, whole passes alternate (phases).
HWY_INLINE Index phase_step(Index width) { return width > lanes ? width : lanes; }
HWY_INLINE V turns_at(const Turns& turns, Index phase) { return hn::LoadU(D(), turns.values + phase); }

// out = f(a, b) along a run, f made for each phase: make(phase)(a, b).
template <class Make>
HWY_INLINE void map_run(Index width, Index length, const float* a, const float* b, float* out, const Make& make) {
  const D d;
  const Index step = phase_step(width);
  for (Index phase = 0; phase < step; phase += lanes) {
    const auto f = make(phase);
    Index i = phase;
    for (; i + lanes <= length; i += step) hn::StoreU(f(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, out + i);
    if (i < length) {
      const auto rest = static_cast<std::size_t>(length - i);
      store_first(f(load_first(rest, a + i), load_first(rest, b + i)), rest, out + i);
    }
  }
}

// totals[c] += sum of f(a, b) over the values of channel c of a run, for `sums` terms of f at once: totals[s][c]. Short sums are taken in
// float, 64 terms each, and added in double, so that long ones keep their digits.
template <int sums, class Make>
HWY_INLINE void sum_run(Index width, Index length, const float* a, const float* b, const Make& make, double (*totals)[8]) {
  constexpr Index chains = 4, terms = 64;  // chains hide the latency of an addition
  const D d;
  const Index step = phase_step(width);
  for (Index phase = 0; phase < step; phase += lanes) {
    const auto f = make(phase);
    for (Index i = phase; i < length;) {
      V sum[sums][chains];
      UNROLL for (int s = 0; s < sums; ++s) { UNROLL for (int c = 0; c < chains; ++c) sum[s][c] = hn::Zero(d); }
      const Index end = std::min(length, i + chains * terms * step);
      for (; i + (chains - 1) * step + lanes <= end; i += chains * step) {
        UNROLL for (int c = 0; c < chains; ++c) {
          V term[sums];
          f(hn::LoadU(d, a + i + c * step), hn::LoadU(d, b + i + c * step), term);
          UNROLL for (int s = 0; s < sums; ++s) sum[s][c] = hn::Add(sum[s][c], term[s]);
        }
      }
      for (; i < end; i += step) {
        const auto count = static_cast<std::size_t>(std::min<Index>(lanes, end - i));
        V term[sums];
        f(load_first(count, a + i), load_first(count, b + i), term);
        UNROLL for (int s = 0; s < sums; ++s) sum[s][0] = hn::Add(sum[s][0], hn::IfThenElseZero(hn::FirstN(d, count), term[s]));
      }
      UNROLL for (int s = 0; s < sums; ++s) {
        const V total = hn::Add(hn::Add(sum[s][0], sum[s][1]), hn::Add(sum[s][2], sum[s][3]));
        if (width == 1) {
          totals[s][0] += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, total)));
        } else {
          alignas(64) float all[lanes];
          hn::Store(total, d, all);
          for (Index j = 0; j < lanes; ++j) totals[s][(phase + j) & (width - 1)] += static_cast<double>(all[j]);
        }
      }
    }
  }
}

}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
