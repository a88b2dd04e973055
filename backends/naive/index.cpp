#include <wengert/backends/naive/index.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>

namespace wengert::naive {

void check_indices(const View& indices, Index count, Index first) {
  const std::int32_t* const index = indices.read<std::int32_t>();
  const Index elements = indices.elements();
  bool inside = true;
  for (Index i = 0; i < elements; ++i) inside &= index[i] >= 0 && index[i] < count;
  if (inside) return;
  const std::int32_t* const bad = std::find_if(index, index + elements, [count](std::int32_t i) { return i < 0 || i >= count; });
  fail(fmt::format("wanted indices in [0, {}), got {} at position {}", count, *bad, first + (bad - index)));
}

void gather(int axis, const View& x, const View& indices, const View& y) {
  const Index outer = x.shape.elements(0, axis), size = x.shape[axis], inner = x.shape.elements(axis + 1, x.shape.rank());
  const std::int32_t* const index = indices.read<std::int32_t>();
  const Index count = indices.elements();
  visit_any(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const from = x.read<T>();
    T* to = y.write<T>();
    for (Index a = 0; a < outer; ++a) {
      for (Index i = 0; i < count; ++i, to += inner) std::copy_n(from + (a * size + index[i]) * inner, inner, to);
    }
  });
}

void scatter_add(int axis, const View& y, const View& indices, const View& x) {
  const Index outer = x.shape.elements(0, axis), size = x.shape[axis], inner = x.shape.elements(axis + 1, x.shape.rank());
  const std::int32_t* const index = indices.read<std::int32_t>();
  const Index count = indices.elements();
  visit_float(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = y.read<T>();
    T* const to = x.write<T>();
    std::fill_n(to, x.elements(), T{0});
    for (Index a = 0; a < outer; ++a) {
      for (Index i = 0; i < count; ++i, from += inner) {
        T* const row = to + (a * size + index[i]) * inner;
        for (Index b = 0; b < inner; ++b) row[b] += from[b];
      }
    }
  });
}

void one_hot(const View& classes, const View& y) {
  const Index rows = classes.elements(), count = y.shape[y.shape.rank() - 1];
  const std::int32_t* const at = classes.read<std::int32_t>();
  visit_float(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    T* const to = y.write<T>();
    std::fill_n(to, y.elements(), T{0});
    for (Index r = 0; r < rows; ++r) to[r * count + at[r]] = T{1};
  });
}

}  // namespace wengert::naive
