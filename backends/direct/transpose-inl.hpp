// Between pixels of eight channels and channels of several pixels, in registers. Private to the .cpp files of backends/direct/; to be included
// after highway-inl.hpp.
#if defined(WENGERT_DIRECT_TRANSPOSE_TARGET) == defined(HWY_TARGET_TOGGLE)  // once a target
#ifdef WENGERT_DIRECT_TRANSPOSE_TARGET
#undef WENGERT_DIRECT_TRANSPOSE_TARGET
#else
#define WENGERT_DIRECT_TRANSPOSE_TARGET
#endif

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {

constexpr int lanes8 = lanes < 8 ? lanes : 8;  // of the vectors here; also the pixels that are transposed at once
using D8 = hn::FixedTag<float, lanes8>;
using V8 = hn::Vec<D8>;

// Within each 128 bits: row i, column k becomes row k, column i.
HWY_INLINE void transpose4(V8 (&v)[4]) {
  const D8 d;
  const hn::Repartition<std::uint64_t, D8> pairs;
  const auto lower01 = hn::BitCast(pairs, hn::InterleaveLower(d, v[0], v[1])),
             upper01 = hn::BitCast(pairs, hn::InterleaveUpper(d, v[0], v[1]));
  const auto lower23 = hn::BitCast(pairs, hn::InterleaveLower(d, v[2], v[3])),
             upper23 = hn::BitCast(pairs, hn::InterleaveUpper(d, v[2], v[3]));
  v[0] = hn::BitCast(d, hn::InterleaveLower(pairs, lower01, lower23));
  v[1] = hn::BitCast(d, hn::InterleaveUpper(pairs, lower01, lower23));
  v[2] = hn::BitCast(d, hn::InterleaveLower(pairs, upper01, upper23));
  v[3] = hn::BitCast(d, hn::InterleaveUpper(pairs, upper01, upper23));
}

// Channels 4 half .. 4 half + 3 of lanes8 pixels from p on, which has eight channels a pixel.
HWY_INLINE void load_channels(const float* p, int half, V8 (&channels)[4]) {
  const D8 d;
  UNROLL for (int i = 0; i < 4; ++i) {
    if constexpr (lanes8 == 8) {
      const V8 near = hn::LoadU(d, p + 8 * i), far = hn::LoadU(d, p + 8 * (i + 4));
      channels[i] = half == 0 ? hn::ConcatLowerLower(d, far, near) : hn::ConcatUpperUpper(d, far, near);
    } else {
      channels[i] = hn::LoadU(d, p + 8 * i + 4 * half);
    }
  }
  transpose4(channels);
}

// The way back: both halves of lanes8 pixels.
HWY_INLINE void store_pixels(V8 (&lower)[4], V8 (&upper)[4], float* p) {
  const D8 d;
  transpose4(lower);
  transpose4(upper);
  UNROLL for (int i = 0; i < 4; ++i) {
    if constexpr (lanes8 == 8) {
      hn::StoreU(hn::ConcatLowerLower(d, upper[i], lower[i]), d, p + 8 * i);
      hn::StoreU(hn::ConcatUpperUpper(d, upper[i], lower[i]), d, p + 8 * (i + 4));
    } else {
      hn::StoreU(lower[i], d, p + 8 * i);
      hn::StoreU(upper[i], d, p + 8 * i + 4);
    }
  }
}

}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
