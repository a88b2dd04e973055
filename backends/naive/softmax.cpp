#include <wengert/backends/naive/softmax.hpp>

#include <cmath>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>

namespace wengert::naive {

namespace {

Index columns_of(const View& x) { return x.shape[x.shape.rank() - 1]; }
Index rows_of(const View& x) { return x.shape.elements(0, x.shape.rank() - 1); }

// log sum exp of a row = largest + log_sum; kept apart, since their sum rounds away log_sum beside a large `largest`.
template <class T>
struct LogSumExp {
  T largest, log_sum;
};
template <class T>
LogSumExp<T> log_sum_exp(const T* row, Index columns) {
  T largest = row[0];
  for (Index c = 1; c < columns; ++c) largest = row[c] > largest ? row[c] : largest;
  if (std::isinf(largest) && largest < 0) return {largest, T(0)};
  T sum = 0;
  for (Index c = 0; c < columns; ++c) sum += std::exp(row[c] - largest);
  return {largest, std::log(sum)};
}

template <class T>
T loss_of(const T* row, LogSumExp<T> l, const View& labels, Index image, Index columns, Index first_image) {
  if (labels.dtype == DType::i32) {
    const Index label = labels.read<std::int32_t>()[image];
    if (label < 0 || label >= columns)
      fail(fmt::format("wanted labels in [0,{}), got {} for image {}", columns, label, first_image + image));
    return l.log_sum - (row[label] - l.largest);
  }
  const T* const wanted = labels.read<T>() + image * columns;
  T loss = 0;
  for (Index c = 0; c < columns; ++c) {
    if (wanted[c] != T(0)) loss += wanted[c] * (l.log_sum - (row[c] - l.largest));
  }
  return loss;
}

// body(row number, in, out, log sum exp of in) for every row.
template <class Body>
void for_each_row(const View& x, const View& y, Body body) {
  visit_float(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Index columns = columns_of(x);
    for (Index r = 0; r < rows_of(x) && columns > 0; ++r) {
      const T* const in = x.read<T>() + r * columns;
      body(r, in, y.write<T>() + r * columns, log_sum_exp(in, columns));
    }
  });
}

template <class T>
void softmax_row(const T* in, T* out, LogSumExp<T> l, Index columns) {
  for (Index c = 0; c < columns; ++c) out[c] = std::exp((in[c] - l.largest) - l.log_sum);
}

}  // namespace

void softmax(const View& x, const View& y) {
  for_each_row(x, y, [columns = columns_of(x)](Index, const auto* in, auto* out, auto l) { softmax_row(in, out, l, columns); });
}

void log_softmax(const View& x, const View& y) {
  for_each_row(x, y, [columns = columns_of(x)](Index, const auto* in, auto* out, auto l) {
    for (Index c = 0; c < columns; ++c) out[c] = (in[c] - l.largest) - l.log_sum;
  });
}

void softmax_cross_entropy(const View& logits, const View& labels, const View& loss, const View& probabilities, Index first_image) {
  for_each_row(logits, probabilities, [&, columns = columns_of(logits)](Index image, const auto* in, auto* out, auto l) {
    using T = std::remove_pointer_t<decltype(out)>;
    softmax_row(in, out, l, columns);
    loss.write<T>()[image] = loss_of(in, l, labels, image, columns, first_image);
  });
}

}  // namespace wengert::naive
