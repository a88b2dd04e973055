// Direct rung of activations and arithmetic: one loop over whole vectors, the last one masked, so that memory alone sets the speed.
//   wengert bench op relu --kernel direct
#include <wengert/backends/direct/elementwise.hpp>

#include <wengert/backends/direct/target.hpp>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/elementwise.cpp>
#include <wengert/backends/direct/highway-inl.hpp>
#include <wengert/backends/direct/math-inl.hpp>

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace {

template <class F>
void map(Index count, const float* a, float* out, const F& f) {
  const D d;
  Index i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(f(hn::LoadU(d, a + i)), d, out + i);
  if (const auto rest = static_cast<std::size_t>(count - i)) store_first(f(load_first(rest, a + i)), rest, out + i);
}

template <class F>
void map(Index count, const float* a, const float* b, float* out, const F& f) {
  const D d;
  Index i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(f(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, out + i);
  if (const auto rest = static_cast<std::size_t>(count - i))
    store_first(f(load_first(rest, a + i), load_first(rest, b + i)), rest, out + i);
}

struct Relu {
  HWY_INLINE V operator()(V a) const { return max_of(hn::Zero(D()), a); }
};
struct Negate {
  HWY_INLINE V operator()(V a) const { return hn::Neg(a); }
};
struct Exp {
  HWY_INLINE V operator()(V a) const { return exp_of(a); }
};
struct Log {
  HWY_INLINE V operator()(V a) const { return log_of(a); }
};
struct Sqrt {
  HWY_INLINE V operator()(V a) const { return hn::Sqrt(a); }
};
struct Tanh {
  HWY_INLINE V operator()(V a) const { return tanh_of(a); }
};
struct Sigmoid {
  HWY_INLINE V operator()(V a) const { return sigmoid_of(a); }
};
struct Affine {
  float scale, shift;
  HWY_INLINE V operator()(V a) const { return hn::MulAdd(hn::Set(D(), scale), a, hn::Set(D(), shift)); }
};

struct Add {
  HWY_INLINE V operator()(V a, V b) const { return hn::Add(a, b); }
};
struct Subtract {
  HWY_INLINE V operator()(V a, V b) const { return hn::Sub(a, b); }
};
struct Multiply {
  HWY_INLINE V operator()(V a, V b) const { return hn::Mul(a, b); }
};
struct Divide {
  HWY_INLINE V operator()(V a, V b) const { return hn::Div(a, b); }
};
struct Maximum {
  HWY_INLINE V operator()(V a, V b) const { return hn::IfThenElse(hn::IsNaN(b), b, max_of(b, a)); }
};
struct Gate {
  HWY_INLINE V operator()(V a, V b) const { return hn::IfThenZeroElse(hn::Le(b, hn::Zero(D())), a); }
};

void unary_work(Unary f, Index count, const float* a, float* out) {
  switch (f) {
    case Unary::relu: return map(count, a, out, Relu{});
    case Unary::negate: return map(count, a, out, Negate{});
    case Unary::exp: return map(count, a, out, Exp{});
    case Unary::log: return map(count, a, out, Log{});
    case Unary::sqrt: return map(count, a, out, Sqrt{});
    case Unary::tanh: return map(count, a, out, Tanh{});
    case Unary::sigmoid: return map(count, a, out, Sigmoid{});
  }
}

void binary_work(Binary f, Index count, const float* a, const float* b, float* out) {
  switch (f) {
    case Binary::add: return map(count, a, b, out, Add{});
    case Binary::subtract: return map(count, a, b, out, Subtract{});
    case Binary::multiply: return map(count, a, b, out, Multiply{});
    case Binary::divide: return map(count, a, b, out, Divide{});
    case Binary::maximum: return map(count, a, b, out, Maximum{});
    case Binary::gate: return map(count, a, b, out, Gate{});
  }
}

void affine_work(float scale, float shift, Index count, const float* a, float* out) { map(count, a, out, Affine{scale, shift}); }

}  // namespace
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wengert::direct {
namespace {
constexpr decltype(&HWY_NAMESPACE::unary_work) unary_works[] = WENGERT_EACH_TARGET(unary_work);
constexpr decltype(&HWY_NAMESPACE::binary_work) binary_works[] = WENGERT_EACH_TARGET(binary_work);
constexpr decltype(&HWY_NAMESPACE::affine_work) affine_works[] = WENGERT_EACH_TARGET(affine_work);
}  // namespace

void unary(Unary f, Index count, const float* a, float* out) { unary_works[target_index()](f, count, a, out); }
void binary(Binary f, Index count, const float* a, const float* b, float* out) { binary_works[target_index()](f, count, a, b, out); }
void affine(float scale, float shift, Index count, const float* a, float* out) {
  affine_works[target_index()](scale, shift, count, a, out);
}

bool keeps_zero(Unary f) { return f != Unary::exp && f != Unary::log && f != Unary::sigmoid; }
bool keeps_zero(Binary f) { return f != Binary::divide; }

}  // namespace wengert::direct
#endif
