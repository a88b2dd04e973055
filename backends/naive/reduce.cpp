#include <wengert/backends/naive/reduce.hpp>

#include <wengert/engine/strided.hpp>

namespace wengert::naive {

void max_over(const View& x, const Shape& kept, const Shape& reduced, const View& value, const View& position) {
  visit_float(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const from = x.read<T>();
    T* const best = value.write<T>();
    std::int32_t* const where = position.write<std::int32_t>();
    const BroadcastLoop<3> loop(x.shape, {x.shape, kept, reduced});
    const Index kept_step = loop.steps()[1], reduced_step = loop.steps()[2];
    loop.run([&](const std::array<Index, 3>& at, Index count) {
      for (Index i = 0; i < count; ++i) {
        const T candidate = from[at[0] + i];
        const Index out = at[1] + i * kept_step, index = at[2] + i * reduced_step;
        const bool first = index == 0, now_nan = candidate != candidate && best[out] == best[out];
        if (!first && !(candidate > best[out]) && !now_nan) continue;
        best[out] = candidate;
        where[out] = static_cast<std::int32_t>(index);
      }
    });
  });
}

}  // namespace wengert::naive
