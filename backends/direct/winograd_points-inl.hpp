// The one-dimensional transforms of Winograd's algorithm (Lavin and Gray 2016) on vectors: points 0, 1, -1 and infinity for n = 4, also
// 2 and -2 for n = 6, and also 1/2 and -1/2 for n = 8. y = A'((G g) * (B'd)).

#if defined(WENGERT_DIRECT_WINOGRAD_POINTS_TARGET) == defined(HWY_TARGET_TOGGLE)
#ifdef WENGERT_DIRECT_WINOGRAD_POINTS_TARGET
#undef WENGERT_DIRECT_WINOGRAD_POINTS_TARGET
#else
#define WENGERT_DIRECT_WINOGRAD_POINTS_TARGET
#endif

#include <wengert/backends/direct/highway-inl.hpp>

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace winograd {

// A pixel of nhwc8, or half of one.
constexpr int width = lanes < 8 ? lanes : 8;
using D = hn::FixedTag<float, width>;
using V = hn::Vec<D>;

// t = B'd
HWY_INLINE void transform_input(const V (&x)[4], V (&t)[4]) {
  t[0] = hn::Sub(x[0], x[2]);
  t[1] = hn::Add(x[1], x[2]);
  t[2] = hn::Sub(x[2], x[1]);
  t[3] = hn::Sub(x[1], x[3]);
}
HWY_INLINE void transform_input(const V (&x)[6], V (&t)[6]) {
  const D d;
  const V two = hn::Set(d, 2.0f), four = hn::Set(d, 4.0f), five = hn::Set(d, 5.0f);
  t[0] = hn::MulAdd(four, x[0], hn::NegMulAdd(five, x[2], x[4]));
  const V even = hn::NegMulAdd(four, x[2], x[4]), odd = hn::NegMulAdd(four, x[1], x[3]);
  t[1] = hn::Add(even, odd);
  t[2] = hn::Sub(even, odd);
  const V outer_even = hn::Sub(x[4], x[2]), outer_odd = hn::Sub(x[3], x[1]);
  t[3] = hn::MulAdd(two, outer_odd, outer_even);
  t[4] = hn::NegMulAdd(two, outer_odd, outer_even);
  t[5] = hn::MulAdd(four, x[1], hn::NegMulAdd(five, x[3], x[5]));
}
HWY_INLINE void transform_input(const V (&x)[8], V (&t)[8]) {
  const D d;
  const V quarter = hn::Set(d, 0.25f), half = hn::Set(d, 0.5f), two = hn::Set(d, 2.0f), four = hn::Set(d, 4.0f);
  const V middle = hn::Set(d, 4.25f), outer = hn::Set(d, 5.25f);
  t[0] = hn::MulAdd(outer, hn::Sub(x[4], x[2]), hn::Sub(x[0], x[6]));
  t[7] = hn::MulAdd(outer, hn::Sub(x[3], x[5]), hn::Sub(x[7], x[1]));
  const V even1 = hn::NegMulAdd(middle, x[4], hn::Add(x[2], x[6])), odd1 = hn::NegMulAdd(middle, x[3], hn::Add(x[1], x[5]));
  t[1] = hn::Add(even1, odd1);
  t[2] = hn::Sub(even1, odd1);
  const V even2 = hn::MulAdd(quarter, x[2], hn::NegMulAdd(hn::Set(d, 1.25f), x[4], x[6]));
  const V odd2 = hn::MulAdd(half, x[1], hn::NegMulAdd(hn::Set(d, 2.5f), x[3], hn::Add(x[5], x[5])));
  t[3] = hn::Add(even2, odd2);
  t[4] = hn::Sub(even2, odd2);
  const V even3 = hn::MulAdd(four, x[2], hn::NegMulAdd(hn::Set(d, 5.0f), x[4], x[6]));
  const V odd3 = hn::MulAdd(two, x[1], hn::NegMulAdd(hn::Set(d, 2.5f), x[3], hn::Mul(half, x[5])));
  t[5] = hn::Add(even3, odd3);
  t[6] = hn::Sub(even3, odd3);
}

// t = G g, of 3 or 5 taps
template <int taps>
HWY_INLINE void transform_filter(const V (&g)[taps], V (&t)[4]) {
  static_assert(taps == 3);
  const V half = hn::Set(D(), 0.5f), outer = hn::Add(g[0], g[2]);
  t[0] = g[0];
  t[1] = hn::Mul(half, hn::Add(outer, g[1]));
  t[2] = hn::Mul(half, hn::Sub(outer, g[1]));
  t[3] = g[2];
}
template <int taps>
HWY_INLINE void transform_filter(const V (&g)[taps], V (&t)[6]) {
  const D d;
  V near_even = hn::Add(g[0], g[2]), near_odd = g[1];
  V far_even = hn::MulAdd(hn::Set(d, 4.0f), g[2], g[0]), far_odd = hn::Add(g[1], g[1]);
  if constexpr (taps == 5) {
    near_even = hn::Add(near_even, g[4]), near_odd = hn::Add(near_odd, g[3]);
    far_even = hn::MulAdd(hn::Set(d, 16.0f), g[4], far_even), far_odd = hn::MulAdd(hn::Set(d, 8.0f), g[3], far_odd);
  }
  const V near = hn::Set(d, -1.0f / 6), far = hn::Set(d, 1.0f / 24);
  t[0] = hn::Mul(hn::Set(d, 0.25f), g[0]);
  t[1] = hn::Mul(near, hn::Add(near_even, near_odd));
  t[2] = hn::Mul(near, hn::Sub(near_even, near_odd));
  t[3] = hn::Mul(far, hn::Add(far_even, far_odd));
  t[4] = hn::Mul(far, hn::Sub(far_even, far_odd));
  t[5] = g[taps - 1];
}
template <int taps>
HWY_INLINE void transform_filter(const V (&g)[taps], V (&t)[8]) {
  static_assert(taps == 5);
  const D d;
  const V near = hn::Set(d, -2.0f / 9), far = hn::Set(d, 1.0f / 90), half = hn::Set(d, 2.0f / 45);
  const V near_even = hn::Add(hn::Add(g[0], g[2]), g[4]), near_odd = hn::Add(g[1], g[3]);
  const V far_even = hn::MulAdd(hn::Set(d, 16.0f), g[4], hn::MulAdd(hn::Set(d, 4.0f), g[2], g[0]));
  const V far_odd = hn::MulAdd(hn::Set(d, 8.0f), g[3], hn::Add(g[1], g[1]));
  const V half_even = hn::MulAdd(hn::Set(d, 16.0f), g[0], hn::MulAdd(hn::Set(d, 4.0f), g[2], g[4]));
  const V half_odd = hn::MulAdd(hn::Set(d, 8.0f), g[1], hn::Add(g[3], g[3]));
  t[0] = g[0];
  t[1] = hn::Mul(near, hn::Add(near_even, near_odd));
  t[2] = hn::Mul(near, hn::Sub(near_even, near_odd));
  t[3] = hn::Mul(far, hn::Add(far_even, far_odd));
  t[4] = hn::Mul(far, hn::Sub(far_even, far_odd));
  t[5] = hn::Mul(half, hn::Add(half_even, half_odd));
  t[6] = hn::Mul(half, hn::Sub(half_even, half_odd));
  t[7] = g[4];
}

// y = A's
HWY_INLINE void transform_output(const V (&s)[4], V (&y)[2]) {
  y[0] = hn::Add(s[0], hn::Add(s[1], s[2]));
  y[1] = hn::Sub(hn::Sub(s[1], s[2]), s[3]);
}
HWY_INLINE void transform_output(const V (&s)[6], V (&y)[2]) {
  y[0] = hn::Add(hn::Add(s[0], hn::Add(s[1], s[2])), hn::Add(s[3], s[4]));
  y[1] = hn::Add(hn::MulAdd(hn::Set(D(), 2.0f), hn::Sub(s[3], s[4]), hn::Sub(s[1], s[2])), s[5]);
}
HWY_INLINE void transform_output(const V (&s)[6], V (&y)[4]) {
  const D d;
  const V even = hn::Add(s[1], s[2]), odd = hn::Sub(s[1], s[2]), far_even = hn::Add(s[3], s[4]), far_odd = hn::Sub(s[3], s[4]);
  y[0] = hn::Add(hn::Add(s[0], even), far_even);
  y[1] = hn::MulAdd(hn::Set(d, 2.0f), far_odd, odd);
  y[2] = hn::MulAdd(hn::Set(d, 4.0f), far_even, even);
  y[3] = hn::Add(hn::MulAdd(hn::Set(d, 8.0f), far_odd, odd), s[5]);
}
HWY_INLINE void transform_output(const V (&s)[8], V (&y)[4]) {
  const D d;
  const V even1 = hn::Add(s[1], s[2]), odd1 = hn::Sub(s[1], s[2]), even2 = hn::Add(s[3], s[4]), odd2 = hn::Sub(s[3], s[4]);
  const V even3 = hn::Add(s[5], s[6]), odd3 = hn::Sub(s[5], s[6]);
  y[0] = hn::Add(hn::Add(s[0], even1), hn::Add(even2, even3));
  y[1] = hn::MulAdd(hn::Set(d, 0.5f), odd3, hn::MulAdd(hn::Set(d, 2.0f), odd2, odd1));
  y[2] = hn::MulAdd(hn::Set(d, 0.25f), even3, hn::MulAdd(hn::Set(d, 4.0f), even2, even1));
  y[3] = hn::Add(hn::MulAdd(hn::Set(d, 0.125f), odd3, hn::MulAdd(hn::Set(d, 8.0f), odd2, odd1)), s[7]);
}

}  // namespace winograd
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
