// Which windows of a Winograd convolution hold only zeros: their results are zero exactly, where the transforms would leave rounding noise.

#if defined(WENGERT_DIRECT_WINOGRAD_WINDOWS_TARGET) == defined(HWY_TARGET_TOGGLE)
#ifdef WENGERT_DIRECT_WINOGRAD_WINDOWS_TARGET
#undef WENGERT_DIRECT_WINOGRAD_WINDOWS_TARGET
#else
#define WENGERT_DIRECT_WINOGRAD_WINDOWS_TARGET
#endif

#include <wengert/backends/direct/winograd_points-inl.hpp>
#include <wengert/backends/direct/winograd_steps.hpp>

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace winograd {

// Whether none of the pixels of a lattice is zero in all channels, of which each window holds one: then no window holds only zeros.
template <int taps>
bool none_zero(const WinogradPlanes& image) {
  const D d;
  for (Index row = 0; row < image.height; row += taps)
    for (Index column = 0; column < image.width; column += taps) {
      V bits = hn::Zero(d);
      for (Index p = 0; p < image.planes; ++p) {
        UNROLL
        for (int lane = 0; lane < 8; lane += width)
          bits = hn::Or(bits, hn::LoadU(d, image.in + ((p * image.height + row) * image.width + column) * 8 + lane));
      }
      if (hn::AllTrue(d, hn::Eq(bits, hn::Zero(d)))) return false;
    }
  return true;
}

// Marks pixels that are not zero in all channels: a byte each, 0 or anything else. NaN is not zero.
inline void mark_pixels(const float* in, Index pixels, Index planes, Index plane_pitch, std::uint8_t* marks) {
  const D d;
  const auto zero = hn::Zero(d);
  for (Index at = 0; at < pixels; ++at) {
    V bits = zero;  // those of numbers together make a zero only of zeros
    for (Index p = 0; p < planes; ++p) {
      UNROLL
      for (int lane = 0; lane < 8; lane += width) bits = hn::Or(bits, hn::LoadU(d, in + p * plane_pitch + at * 8 + lane));
    }
    hn::StoreMaskBits(d, hn::Ne(bits, zero), marks + at);
  }
}

using Bytes = hn::FixedTag<std::uint8_t, 16>;

// What of a row of windows `taps` wide is marked.
template <int taps>
void mark_row(const WinogradMarks& row) {
  mark_pixels(row.in, row.pixels, row.planes, row.plane_pitch, row.marks + row.before);
  const Bytes d;
  for (Index at = 0; at < row.windows; at += 16) {
    auto any = hn::LoadU(d, row.marks + at);
    UNROLL
    for (int tap = 1; tap < taps; ++tap) any = hn::Or(any, hn::LoadU(d, row.marks + at + tap));
    hn::StoreU(any, d, row.out + at);
  }
}

// For the windows of m rows: 1, or 0 where all that they hold is zero.
template <int m, int taps>
void keep_rows(const std::uint8_t* const* rows, Index windows, float* keep, Index pitch) {
  const D d;
  const hn::RebindToSigned<D> di;
  const hn::Rebind<std::uint8_t, D> narrow;
  const Bytes bytes;
  const V one = hn::Set(d, 1.0f);
  for (Index at = 0; at < windows; at += 16)
    for (int i = 0; i < m; ++i) {
      auto any = hn::LoadU(bytes, rows[i] + at);
      UNROLL
      for (int tap = 1; tap < taps; ++tap) any = hn::Or(any, hn::LoadU(bytes, rows[i + tap] + at));
      alignas(16) std::uint8_t marks[16];
      hn::Store(any, bytes, marks);
      for (int j = 0; j < 16; j += width) {
        const auto zero = hn::Eq(hn::PromoteTo(di, hn::LoadU(narrow, marks + j)), hn::Zero(di));
        hn::StoreU(hn::IfThenZeroElse(hn::RebindMask(d, zero), one), d, keep + i * pitch + at + j);
      }
    }
}

}  // namespace winograd
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
