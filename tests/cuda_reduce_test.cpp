// CUDA's sums and maxima over axes in the emulator against the CPU's loops; the same bits in every order of threads and blocks.
#include <wengert/backends/cuda/kernels/reduce.hpp>
#include <wengert/backends/naive/reduce.hpp>
#include <wengert/engine/strided.hpp>

#include "cuda_kernels.hpp"

namespace {

using namespace wengert;
using namespace wengert::test;
using cuda::emulated::reduce_functions;

struct Case {
  Shape x, kept;
};

// Rows, columns, both, scalars, empty ones; slices where they are long.
const Case cases[] = {{{9, 3, 2, 5}, {1, 3, 1, 1}},
                      {{9, 3, 2, 5}, {3, 1, 1}},
                      {{9, 5}, {9, 1}},
                      {{7, 3}, {}},
                      {{2, 3, 5}, {1, 5}},
                      {{2, 3, 5}, {5}},
                      {{}, {}},
                      {{1}, {}},
                      {{4, 300}, {4, 1}},
                      {{300, 40}, {1, 40}},
                      {{3, 2, 3, 2}, {1, 2, 1, 2}},
                      {{6, 5}, {6, 5}},
                      {{2, 70, 33}, {2, 1, 33}},
                      {{5000}, {}},
                      {{600, 3}, {3}},
                      {{2, 3, 2100}, {3, 1}}};

Floats naive_sum(Floats x, const Shape& shape, const Shape& kept) {
  Floats out(static_cast<std::size_t>(kept.elements()));
  reduce_sum<float>({x.data(), shape}, {out.data(), kept}, kept);
  return out;
}

Floats cuda_sum(const Floats& x, const Shape& shape, const Shape& kept) {
  return in_all_orders([&](EmulatedDevice& device) {
    float* const out = device.allocate<float>(kept.elements());
    const Index bytes = reduce_functions().sum_workspace(shape, kept);
    void* const workspace = bytes > 0 ? device.allocate<std::uint8_t>(bytes) : nullptr;
    reduce_functions().sum(device.queue(), device.put(x), shape, kept, out, workspace);
    return device.get(out, kept.elements());
  });
}

TEST_CASE("cuda sums: over any axes, exactly on integers") {
  std::mt19937 random(1);
  for (const Case& c : cases) {
    CAPTURE(c.x.text());
    CAPTURE(c.kept.text());
    Floats x = random_floats(random, c.x.elements());
    check_same(cuda_sum(x, c.x, c.kept), naive_sum(x, c.x, c.kept), 1e-5);
    for (float& value : x) value = std::round(8 * value);
    check_same(cuda_sum(x, c.x, c.kept), naive_sum(x, c.x, c.kept));
  }
}

TEST_CASE("cuda sums: of nothing are zero; NaN and infinities come through") {
  check_same(cuda_sum({}, {0, 3}, {3}), Floats(3));
  check_same(cuda_sum({}, {2, 0}, {2, 1}), Floats(2));
  check_same(cuda_sum({}, {0, 3}, {0, 1}), {});
  check_same(cuda_sum({1, not_a_number, 2, infinity, infinity, 1, infinity, -infinity, 0}, {3, 3}, {3, 1}),
             {not_a_number, infinity, not_a_number});
}

TEST_CASE("cuda sums: long ones are cut in slices, and need a workspace") {
  CHECK(reduce_functions().sum_workspace({5000}, {}) == 3 * 4);
  CHECK(reduce_functions().sum_workspace({600, 3}, {3}) == 3 * 3 * 4);
  CHECK(reduce_functions().sum_workspace({9, 3, 2, 5}, {3, 1, 1}) == 0);
}

TEST_CASE("cuda sums: blocks that make several outputs") {
  for (const Case& c : {Case{{2051, 300}, {2051, 1}}, Case{{3, 2050 * 32}, {1, 2050 * 32}}}) {
    Floats x(static_cast<std::size_t>(c.x.elements()));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 13);
    check_same(in_two_orders([&](EmulatedDevice& device) {
                 float* const out = device.allocate<float>(c.kept.elements());
                 reduce_functions().sum(device.queue(), device.put(x), c.x, c.kept, out, nullptr);
                 return device.get(out, c.kept.elements());
               }),
               naive_sum(x, c.x, c.kept));
  }
}

void check_max(const Floats& x, const Shape& shape, const Shape& kept) {
  CAPTURE(shape.text());
  CAPTURE(kept.text());
  Shape full = shape, reduced = shape;  // kept with all axes; the others
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const int own = axis - (shape.rank() - kept.rank());
    const bool keeps = own >= 0 && kept[own] != 1;
    (keeps ? reduced : full)[axis] = 1;
  }
  Floats input = x, value(static_cast<std::size_t>(full.elements()));
  Integers position(value.size());
  naive::max_over({input.data(), shape}, full, reduced, {value.data(), full}, {position.data(), full, DType::i32});
  const auto [got, at] = in_all_orders([&](EmulatedDevice& device) {
    float* const values = device.allocate<float>(full.elements());
    auto* const positions = device.allocate<std::int32_t>(full.elements());
    reduce_functions().max(device.queue(), device.put(x), shape, kept, values, positions);
    return std::tuple{device.get(values, full.elements()), device.get(positions, full.elements())};
  });
  check_same(got, value);
  check_same(at, position);
}

TEST_CASE("cuda maxima: the first one counts, a NaN more than any number") {
  std::mt19937 random(2);
  for (const Case& c : cases) {
    check_max(random_floats(random, c.x.elements()), c.x, c.kept);
    check_max(special_floats(random, c.x.elements()), c.x, c.kept);
    Floats ties = random_floats(random, c.x.elements());
    for (float& value : ties) value = std::round(value);
    check_max(ties, c.x, c.kept);
  }
  check_max(Floats(70, -infinity), {7, 10}, {7, 1});
  check_max({}, {0, 3}, {0, 1});
}

}  // namespace
