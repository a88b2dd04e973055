// Direct rung of winners: the gradient behind max pooling and ReLU is compressed to the entries that pass the gate, a vector at a time. In
// nhwc8 the channels are first brought together by transposes in registers.
//   wengert bench op winners --kernel direct
#include <wengert/backends/direct/elementwise.hpp>

#include <algorithm>
#include <cassert>

#include <wengert/backends/direct/target.hpp>

#ifndef WENGERT_DIRECT_WINNERS_ONCE
#define WENGERT_DIRECT_WINNERS_ONCE
namespace wengert::direct {
namespace {

// For each mask of shut lanes: the numbers of the open ones, in order; of all their bytes where a lane has several.
template <int count, int bytes>
struct OpenLanes {
  alignas(64) std::uint8_t row[1 << count][count * bytes] = {};

  constexpr OpenLanes() {
    for (int shut = 0; shut < 1 << count; ++shut) {
      int found = 0;
      for (int lane = 0; lane < count; ++lane) {
        if ((shut >> lane & 1) != 0) continue;
        for (int byte = 0; byte < bytes; ++byte) row[shut][found++] = static_cast<std::uint8_t>(lane * bytes + byte);
      }
    }
  }
};
template <int count, int bytes>
constexpr OpenLanes<count, bytes> open_lanes;

}  // namespace
}  // namespace wengert::direct
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/winners.cpp>
#include <wengert/backends/direct/highway-inl.hpp>
#include <wengert/backends/direct/transpose-inl.hpp>

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace {

// Brings the lanes that a mask does not shut to the front; what comes behind them is arbitrary. On AVX-512 one instruction; else the lanes to
// take come from a table by mask. (Highway 1.0.3 has such tables too, but g++ 12 copies them to the stack at every use.)
template <class T>
class Front {
 public:
  explicit HWY_INLINE Front(hn::Mask<T> shut) : shut_(shut) {
    std::uint8_t bits[8] = {};  // as many as Highway may write
    if constexpr (HWY_TARGET != HWY_AVX3) hn::StoreMaskBits(T(), shut, bits);
    bits_ = bits[0];
  }
  HWY_INLINE std::int32_t count() const { return static_cast<std::int32_t>(hn::Lanes(T()) - hn::CountTrue(T(), shut_)); }

  HWY_INLINE hn::Vec<T> operator()(hn::Vec<T> v) const {
    if constexpr (HWY_TARGET == HWY_AVX3) {
      return hn::CompressNot(v, shut_);
    } else if constexpr (hn::MaxLanes(T()) == 8) {
      const auto lanes_to_take =
          hn::PromoteTo(hn::RebindToSigned<T>(), hn::Load(hn::Rebind<std::uint8_t, T>(), open_lanes<8, 1>.row[bits_]));
      return hn::TableLookupLanes(v, hn::IndicesFromVec(T(), lanes_to_take));
    } else {
      const hn::Repartition<std::uint8_t, T> bytes;
      return hn::BitCast(T(), hn::TableLookupBytes(hn::BitCast(bytes, v), hn::Load(bytes, open_lanes<4, 4>.row[bits_])));
    }
  }

 private:
  hn::Mask<T> shut_;
  std::size_t bits_;
};

// The list of a channel, to which whole vectors are appended; what lies behind the count is free for use (WinnersLayout::pitch).
struct List {
  float* values;
  float* positions;  // the bits of integers
  std::int32_t count = 0;

  template <class T>
  HWY_INLINE void append(T d, hn::Vec<T> y, hn::Vec<T> position, hn::Vec<T> gate) {
    const Front<T> front(hn::Le(gate, hn::Zero(d)));  // a NaN is not
    hn::StoreU(front(y), d, values + count);
    hn::StoreU(front(position), d, positions + count);
    count += front.count();
  }
};

// The last elements of a plane in a vector's room, the gate shut behind them.
template <Index room>
struct Rest {
  alignas(64) float y[room] = {}, positions[room] = {}, gate[room] = {};

  Rest(Index count, const float* y_end, const float* positions_end, const float* gate_end) {
    std::copy_n(y_end, count, y);
    std::copy_n(positions_end, count, positions);
    std::copy_n(gate_end, count, gate);
  }
};

void append_plane(Index pixels, const float* y, const float* positions, const float* gate, List& list) {
  const D d;
  Index i = 0;
  for (; i + lanes <= pixels; i += lanes) list.append(d, hn::LoadU(d, y + i), hn::LoadU(d, positions + i), hn::LoadU(d, gate + i));
  if (i < pixels) {
    const Rest<lanes> rest(pixels - i, y + i, positions + i, gate + i);
    list.append(d, hn::Load(d, rest.y), hn::Load(d, rest.positions), hn::Load(d, rest.gate));
  }
}

// lanes8 pixels of a block.
HWY_INLINE void append_pixels(const float* y, const float* positions, const float* gate, Index channels, List (&lists)[8]) {
  UNROLL for (int half = 0; half < 2; ++half) {
    V8 y_of[4], positions_of[4], gate_of[4];
    load_channels(y, half, y_of);
    load_channels(positions, half, positions_of);
    load_channels(gate, half, gate_of);
    UNROLL for (int i = 0; i < 4; ++i) {
      if (4 * half + i < channels) lists[4 * half + i].append(D8(), y_of[i], positions_of[i], gate_of[i]);
    }
  }
}

void append_block(Index channels, Index pixels, const float* y, const float* positions, const float* gate, List (&lists)[8]) {
  Index p = 0;
  for (; p + lanes8 <= pixels; p += lanes8) append_pixels(y + 8 * p, positions + 8 * p, gate + 8 * p, channels, lists);
  if (p < pixels) {
    const Rest<8 * lanes8> rest(8 * (pixels - p), y + 8 * p, positions + 8 * p, gate + 8 * p);
    append_pixels(rest.y, rest.positions, rest.gate, channels, lists);
  }
}

void winners_work(Layout layout, const WinnersLayout& to, Index images, Index pixels, const float* y, const float* positions,
                  const float* gate, float* out) {
  const Index width = layout == Layout::nhwc8 ? 8 : 1;  // channels a run of memory
  for (Index n = 0; n < images; ++n, out += to.entries()) {
    auto* const counts = reinterpret_cast<std::int32_t*>(out);
    std::fill(counts + to.channels, counts + to.counts(), 0);
    for (Index c = 0; c < to.channels; c += width, y += width * pixels, positions += width * pixels, gate += width * pixels) {
      const Index channels = std::min(width, to.channels - c);
      List lists[8];
      for (Index j = 0; j < channels; ++j) lists[j] = {out + to.values_at(c + j), out + to.positions_at(c + j)};
      if (layout == Layout::nhwc8) append_block(channels, pixels, y, positions, gate, lists);
      else append_plane(pixels, y, positions, gate, lists[0]);
      for (Index j = 0; j < channels; ++j) counts[c + j] = lists[j].count;
    }
  }
}

}  // namespace
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wengert::direct {
namespace {
constexpr decltype(&HWY_NAMESPACE::winners_work) works[] = WENGERT_EACH_TARGET(winners_work);
}  // namespace

void winners(Layout layout, const WinnersLayout& to, Index images, Index pixels, const float* y, const std::int32_t* positions,
             const float* gate, float* out) {
  assert(pixels <= to.capacity);
  // Positions are only moved: the bits of any 4-byte element survive.
  works[target_index()](layout, to, images, pixels, y, reinterpret_cast<const float*>(positions), gate, out);
}

}  // namespace wengert::direct
#endif
