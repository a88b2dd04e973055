// Elementary functions of a vector, with the special values that Highway's leave out. Private to the .cpp files of backends/direct/; to be
// included after highway-inl.hpp.
#include <hwy/contrib/math/math-inl.h>

#include <limits>

#if defined(WENGERT_DIRECT_MATH_TARGET) == defined(HWY_TARGET_TOGGLE)  // once a target
#ifdef WENGERT_DIRECT_MATH_TARGET
#undef WENGERT_DIRECT_MATH_TARGET
#else
#define WENGERT_DIRECT_MATH_TARGET
#endif

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {

// Highway's is defined up to 104, far above the largest finite result, and takes NaN to 0.
HWY_INLINE V exp_of(V x) {
  const V limit = hn::Set(D(), 104.0f);
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(D(), hn::Min(x, limit)));
}

// Highway's is defined for positive finite numbers.
HWY_INLINE V log_of(V x) {
  const V zero = hn::Zero(D()), infinity = hn::Set(D(), std::numeric_limits<float>::infinity());
  const V nan = hn::Set(D(), std::numeric_limits<float>::quiet_NaN());
  const V limit = hn::IfThenElse(hn::Eq(x, zero), hn::Neg(infinity), hn::IfThenElse(hn::Eq(x, infinity), infinity, nan));
  return hn::IfThenElse(hn::And(hn::Gt(x, zero), hn::Lt(x, infinity)), hn::Log(D(), x), limit);
}

HWY_INLINE V tanh_of(V x) { return hn::Tanh(D(), x); }

// e^-|x| never overflows, so that neither side loses its digits.
HWY_INLINE V sigmoid_of(V x) {
  const V one = hn::Set(D(), 1.0f);
  const V e = exp_of(hn::Neg(hn::Abs(x)));
  return hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(D())), e, one), hn::Add(one, e));
}

}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
