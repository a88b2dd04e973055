// Direct rung of softmax with cross-entropy: a row at a time, its exponentials kept in the gradient; the logarithms of many rows at once.
//   wengert bench op softmax_cross_entropy --kernel direct
#include <wengert/backends/direct/elementwise.hpp>

#include <algorithm>
#include <limits>

#include <wengert/backends/direct/target.hpp>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/softmax.cpp>
#include <wengert/backends/direct/highway-inl.hpp>
#include <wengert/backends/direct/math-inl.hpp>

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();

// body(column, how many of the vector's lanes belong to the row), over a row.
template <class Body>
HWY_INLINE void for_each_vector(Index classes, const Body& body) {
  for (Index c = 0; c < classes; c += lanes) body(c, static_cast<std::size_t>(std::min<Index>(lanes, classes - c)));
}

// The lanes behind the row are -inf, which leaves maximum and sum of exponentials alone.
HWY_INLINE V load_logits(std::size_t count, const float* row) {
  return hn::IfThenElse(hn::FirstN(D(), count), load_first(count, row), hn::Set(D(), -infinity));
}

// The maximum of a row, and the sum of e^(logit - maximum); the terms go to `exponentials` (or null). An infinite maximum, or a NaN anywhere,
// makes the sum NaN.
void sum_row(Index classes, const float* row, float* exponentials, float& maximum, float& sum) {
  const D d;
  V largest = hn::Set(d, -infinity), total = hn::Zero(d);
  for_each_vector(classes, [&](Index c, std::size_t count) HWY_ATTR { largest = hn::Max(largest, load_logits(count, row + c)); });
  largest = hn::MaxOfLanes(d, largest);
  for_each_vector(classes, [&](Index c, std::size_t count) HWY_ATTR {
    const V e = exp_of(hn::Sub(load_logits(count, row + c), largest));
    total = hn::Add(total, e);
    if (exponentials != nullptr) store_first(e, count, exponentials + c);
  });
  maximum = hn::GetLane(largest);
  sum = hn::GetLane(hn::SumOfLanes(d, total));
}

bool is_class(std::int32_t label, Index classes) { return label >= 0 && label < classes; }

// gradient holds the exponentials. Factor is the scale that is left of them, mass the sum of the wanted probabilities.
void finish_gradient(Index classes, const std::int32_t* label, const float* wanted, float sum, float scale, float* gradient) {
  const D d;
  float mass = 1;
  if (label != nullptr && !is_class(*label, classes)) mass = nan;
  if (wanted != nullptr) {
    V total = hn::Zero(d);
    for_each_vector(classes, [&](Index c, std::size_t count) HWY_ATTR { total = hn::Add(total, load_first(count, wanted + c)); });
    mass = hn::GetLane(hn::SumOfLanes(d, total));
  }
  const V factor = hn::Set(d, mass / sum), scales = hn::Set(d, scale);
  for_each_vector(classes, [&](Index c, std::size_t count) HWY_ATTR {
    V p = hn::Mul(load_first(count, gradient + c), factor);
    if (wanted != nullptr) p = hn::Sub(p, load_first(count, wanted + c));
    store_first(hn::Mul(p, scales), count, gradient + c);
  });
  if (label != nullptr && is_class(*label, classes)) gradient[*label] -= scale;
}

// sum of wanted * (log_sum - (logit - maximum)); what is not wanted at all counts nothing, however unlikely it is.
float expected_loss(Index classes, const float* row, const float* wanted, float maximum, float log_sum) {
  const D d;
  V total = hn::Zero(d);
  for_each_vector(classes, [&](Index c, std::size_t count) HWY_ATTR {
    const V p = load_first(count, wanted + c),
            loss = hn::Sub(hn::Set(d, log_sum), hn::Sub(load_first(count, row + c), hn::Set(d, maximum)));
    total = hn::Add(total, hn::IfThenZeroElse(hn::Eq(p, hn::Zero(d)), hn::Mul(p, loss)));
  });
  return hn::GetLane(hn::SumOfLanes(d, total));
}

void softmax_cross_entropy_work(Index rows, Index classes, const float* logits, const std::int32_t* labels, const float* probabilities,
                                float scale, float* losses, float* gradient) {
  constexpr Index block = 32;  // rows that share the logarithms' vectors
  const D d;
  for (Index first = 0; first < rows; first += block) {
    const Index count = std::min(block, rows - first);
    alignas(64) float maxima[block] = {}, sums[block] = {};
    for (Index r = 0; r < count; ++r) {
      const Index at = (first + r) * classes;
      float* const of_row = gradient == nullptr ? nullptr : gradient + at;
      sum_row(classes, logits + at, of_row, maxima[r], sums[r]);
      if (gradient == nullptr) continue;
      finish_gradient(classes, labels == nullptr ? nullptr : labels + first + r,
                      labels == nullptr && probabilities != nullptr ? probabilities + at : nullptr, sums[r], scale, of_row);
    }
    if (losses == nullptr) continue;
    for (Index r = 0; r < count; r += lanes) hn::Store(log_of(hn::Load(d, sums + r)), d, sums + r);
    for (Index r = 0; r < count; ++r) {
      const Index at = (first + r) * classes;
      float& loss = losses[first + r];
      if (labels != nullptr) {  // this way round the digits of a small loss survive
        const std::int32_t label = labels[first + r];
        loss = is_class(label, classes) ? maxima[r] - logits[at + label] + sums[r] : nan;
      } else if (probabilities != nullptr) {
        loss = expected_loss(classes, logits + at, probabilities + at, maxima[r], sums[r]);
      } else {
        loss = maxima[r] + sums[r];
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
constexpr decltype(&HWY_NAMESPACE::softmax_cross_entropy_work) works[] = WENGERT_EACH_TARGET(softmax_cross_entropy_work);
}  // namespace

void softmax_cross_entropy(Index rows, Index classes, const float* logits, const std::int32_t* labels, const float* probabilities,
                           float scale, float* losses, float* gradient) {
  works[target_index()](rows, classes, logits, labels, probabilities, scale, losses, gradient);
}

}  // namespace wengert::direct
#endif
