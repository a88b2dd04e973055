#include <wengert/backends/naive/softmax.hpp>

#include <cmath>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>

namespace wengert::naive {

namespace {

Index columns_of(const View& x) { return x.shape[x.shape.rank() - 1]; }
Index rows_of(const View& x) { return x.shape.elements(0, x.shape.rank() - 1); }

// log sum exp of a row, from its largest value.
template <class T>
T log_sum_exp(const T* row, Index columns) {
  T largest = row[0];
  for (Index c = 1; c < columns; ++c) largest = row[c] > largest ? row[c] : largest;
  if (std::isinf(largest) && largest < 0) return largest;
  T sum = 0;
  for (Index c = 0; c < columns; ++c) sum += std::exp(row[c] - largest);
  return largest + std::log(sum);
}

template <class T>
T loss_of(const T* row, T log_sum, const View& labels, Index image, Index columns) {
  if (labels.dtype == DType::i32) {
    const Index label = labels.read<std::int32_t>()[image];
    if (label < 0 || label >= columns) fail(fmt::format("wanted labels in [0,{}), got {} for image {} of the chunk", columns, label, image));
    return log_sum - row[label];
  }
  const T* const wanted = labels.read<T>() + image * columns;
  T loss = 0;
  for (Index c = 0; c < columns; ++c) {
    if (wanted[c] != T(0)) loss += wanted[c] * (log_sum - row[c]);
  }
  return loss;
}

// body(in, out, columns, log sum exp of in) for every row.
template <class Body>
void for_each_row(const View& x, const View& y, Body body) {
  visit_float(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Index columns = columns_of(x);
    for (Index r = 0; r < rows_of(x) && columns > 0; ++r) {
      const T* const in = x.read<T>() + r * columns;
      body(in, y.write<T>() + r * columns, columns, log_sum_exp(in, columns));
    }
  });
}

}  // namespace

void softmax(const View& x, const View& y) {
  for_each_row(x, y, [](const auto* in, auto* out, Index columns, auto log_sum) {
    for (Index c = 0; c < columns; ++c) out[c] = std::exp(in[c] - log_sum);
  });
}

void log_softmax(const View& x, const View& y) {
  for_each_row(x, y, [](const auto* in, auto* out, Index columns, auto log_sum) {
    for (Index c = 0; c < columns; ++c) out[c] = in[c] - log_sum;
  });
}

void softmax_cross_entropy(const View& logits, const View& labels, const View& loss, const View& probabilities) {
  softmax(logits, probabilities);
  visit_float(logits.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Index columns = columns_of(logits);
    for (Index image = 0; image < logits.shape[0]; ++image) {
      const T* const row = logits.read<T>() + image * columns;
      loss.write<T>()[image] = loss_of(row, log_sum_exp(row, columns), labels, image, columns);
    }
  });
}

}  // namespace wengert::naive
