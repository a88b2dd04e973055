// Every CUDA matrix product and linear layer in the emulator, against the naive kernel of the CPU; exactly, on small integers.
#include <cmath>
#include <string>

#include <wengert/backends/cuda/kernels/matmul.hpp>
#include <wengert/backends/naive/matmul.hpp>

#include "cuda_kernels.hpp"
#include "ops_support.hpp"

namespace wengert::test {
namespace {

using cuda::LinearSizes;
using cuda::MatmulFunctions;

const MatmulFunctions functions = cuda::emulated::matmul_functions();

Floats small_integers(std::mt19937& random, Index count) {
  Floats values;
  for (const std::int32_t value : random_integers(random, count, -3, 3)) values.push_back(static_cast<float>(value));
  return values;
}

View view_of(const Floats& values) { return {const_cast<float*>(values.data()), {size_of(values)}, DType::f32}; }

Floats naive_product(const MatmulGeometry& g, const Floats& a, const Floats& b) {
  Floats c(static_cast<std::size_t>(g.batch * g.rows * g.columns));
  naive::matmul(g, view_of(a), view_of(b), view_of(c));
  return c;
}

Floats run(const cuda::MatmulRung& rung, const MatmulGeometry& g, const Floats& a, const Floats& b) {
  REQUIRE(rung.refuse(g) == "");
  const Index outputs = g.batch * g.rows * g.columns;
  return in_all_orders([&](EmulatedDevice& device) {
    float* const c = device.allocate<float>(outputs);
    rung.run(device.queue(), g, device.put(a), device.put(b), c);
    return device.get(c, outputs);
  });
}

struct Sizes {
  Index batch, rows, inner, columns;
};

void check_products(const Sizes& s, int flags) {
  const MatmulGeometry g{s.batch, s.rows, s.inner, s.columns, (flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0, (flags & 8) != 0};
  std::mt19937 random(5);
  const Floats a = small_integers(random, (g.shared_a ? 1 : g.batch) * g.rows * g.inner);
  const Floats b = small_integers(random, (g.shared_b ? 1 : g.batch) * g.inner * g.columns);
  const Floats wanted = naive_product(g, a, b);
  CAPTURE(s.batch);
  CAPTURE(s.rows);
  CAPTURE(s.inner);
  CAPTURE(s.columns);
  CAPTURE(flags);
  check_same(run(functions.plain, g, a, b), wanted);
  check_same(run(functions.warp, g, a, b), wanted);
  check_same(run(functions.tiled, g, a, b), wanted);
  check_same(run(functions.gemm, g, a, b), wanted);
}

TEST_CASE("CUDA matrix products equal the naive one exactly on integers") {
  for (int flags = 0; flags < 16; ++flags) {
    check_products({3, 4, 33, 18}, flags);
    check_products({2, 5, 1, 3}, flags);
  }
  for (int flags = 0; flags < 4; ++flags) check_products({26, 33, 5, 35}, flags);  // tiles of 32 x 32
  check_products({100, 3, 20, 2}, 0);                                              // of 64 x 64
  check_products({1, 40, 70, 20}, 2);
  for (const Sizes& s : {Sizes{1, 1, 1, 1}, Sizes{1, 17, 0, 4}, Sizes{2, 0, 3, 3}, Sizes{0, 2, 3, 3}, Sizes{1, 6, 130, 10}})
    check_products(s, 0);
}

// y or x of a linear layer after bias, ReLU and gate.
void check_linear(const std::string& name, const cuda::LinearRung& rung, const LinearSizes& s) {
  CAPTURE(name);
  CAPTURE(s.rows);
  CAPTURE(s.in);
  CAPTURE(s.out);
  REQUIRE(rung.refuse(s) == "");
  std::mt19937 random(9);
  const Floats x = small_integers(random, s.rows * s.in), w = small_integers(random, s.out * s.in), bias = small_integers(random, s.out),
               y = small_integers(random, s.rows * s.out);
  const Floats product = naive_product({.rows = s.rows, .inner = s.in, .columns = s.out, .transpose_b = true}, x, w);
  for (const auto& [has_bias, has_relu] : {std::pair(false, false), std::pair(true, false), std::pair(true, true)}) {
    const bool with_bias = has_bias, relu = has_relu;
    Floats wanted = product;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (with_bias) wanted[i] += bias[i % bias.size()];
      if (relu && wanted[i] <= 0.0f) wanted[i] = 0.0f;
    }
    check_same(in_all_orders([&](EmulatedDevice& device) {
                 float* const memory = device.allocate<float>(s.rows * s.out);
                 rung.forward(device.queue(), s, device.put(x), device.put(w), {with_bias ? device.put(bias) : nullptr, relu}, memory);
                 return device.get(memory, s.rows * s.out);
               }),
               wanted);
  }
  Floats wanted = naive_product({.rows = s.rows, .inner = s.out, .columns = s.in}, y, w);
  for (std::size_t i = 0; i < wanted.size(); ++i) wanted[i] = x[i] <= 0.0f ? 0.0f : wanted[i];
  check_same(in_all_orders([&](EmulatedDevice& device) {
               float* const memory = device.allocate<float>(s.rows * s.in);
               rung.data_gate(device.queue(), s, device.put(y), device.put(w), device.put(x), memory);
               return device.get(memory, s.rows * s.in);
             }),
             wanted);
}

TEST_CASE("linear layers with bias, ReLU and gate") {
  for (const LinearSizes& s :
       {LinearSizes{9, 5, 4}, LinearSizes{20, 128, 10}, LinearSizes{6, 20, 17}, LinearSizes{0, 3, 2}, LinearSizes{3, 150, 70}}) {
    check_linear("warp", functions.linear_warp, s);
    check_linear("tiled", functions.linear_tiled, s);
    check_linear("gemm", functions.linear_gemm, s);
  }
}

TEST_CASE("NaN passes through ReLU and gate") {
  EmulatedDevice device;
  float* const y = device.allocate<float>(2);
  for (const cuda::LinearRung* rung : {&functions.linear_warp, &functions.linear_tiled, &functions.linear_gemm}) {
    rung->forward(device.queue(), {2, 1, 1}, device.put(Floats{not_a_number, -1.0f}), device.put(Floats{1.0f}), {nullptr, true}, y);
    check_same(device.get(y, 2), Floats{not_a_number, 0.0f});
    rung->data_gate(device.queue(), {2, 1, 1}, device.put(Floats{3.0f, 4.0f}), device.put(Floats{1.0f}),
                    device.put(Floats{not_a_number, -1.0f}), y);
    check_same(device.get(y, 2), Floats{3.0f, 0.0f});
  }
}

struct Moments {
  Floats p, m, v;
};

Moments adam(EmulatedDevice& device, const LinearSizes& s, const Moments& old, const Floats& y, const Floats& x, bool in_place) {
  const Index count = s.out * s.in;
  const cuda::AdamStep step{0.95, 0.99, 1e-8, 0.01, device.put(Floats{0.3f}), device.put(Floats{0.2f})};
  float *const p = device.put(old.p), *const m = device.put(old.m), *const v = device.put(old.v);
  cuda::AdamTensor w{p, m, v, nullptr, device.put(Floats{0.1f}), p, m, v, count};
  if (!in_place)
    w.next_p = device.allocate<float>(count), w.next_m = device.allocate<float>(count), w.next_v = device.allocate<float>(count);
  functions.weight_adam(device.queue(), s, step, w, device.put(y), device.put(x));
  return {device.get(w.next_p, count), device.get(w.next_m, count), device.get(w.next_v, count)};
}

TEST_CASE("Adam with a linear layer's weight gradient in registers") {
  for (const LinearSizes& s : {LinearSizes{9, 21, 11}, LinearSizes{4, 70, 7}, LinearSizes{70, 33, 20}, LinearSizes{0, 3, 5}}) {
    REQUIRE(functions.refuse_weight_adam(s) == "");
    CAPTURE(s.rows);
    CAPTURE(s.in);
    CAPTURE(s.out);
    std::mt19937 random(2);
    const Floats y = small_integers(random, s.rows * s.out), x = small_integers(random, s.rows * s.in);
    const Moments old{random_floats(random, s.out * s.in), random_floats(random, s.out * s.in), random_floats(random, s.out * s.in, 0, 1)};
    const Floats gradient = naive_product({.rows = s.out, .inner = s.rows, .columns = s.in, .transpose_a = true}, y, x);
    Moments wanted = old;
    const float step = 0.1f / 0.3f, root = 1.0f / std::sqrt(0.2f), decay = 0.1f * 0.01f;
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      wanted.m[i] = 0.95f * old.m[i] + static_cast<float>(1.0 - 0.95) * gradient[i];
      wanted.v[i] = 0.99f * old.v[i] + static_cast<float>(1.0 - 0.99) * (gradient[i] * gradient[i]);
      wanted.p[i] = old.p[i] - decay * old.p[i] - step * wanted.m[i] / (std::sqrt(wanted.v[i]) * root + 1e-8f);
    }
    const auto [p, m, v] = in_all_orders([&](EmulatedDevice& device) {
      const Moments made = adam(device, s, old, y, x, false);
      return std::tuple(made.p, made.m, made.v);
    });
    check_same(p, wanted.p, 1e-6);
    check_same(m, wanted.m, 1e-6);
    check_same(v, wanted.v, 1e-6);

    // Nothing where an earlier step went wrong, all where none did.
    for (const bool wrong : {true, false}) {
      EmulatedDevice device;
      device.queue().stop_flag = device.put(Integers{wrong ? 3 : cuda::Queue::none_bad});
      const Moments made = adam(device, s, old, y, x, true);
      CHECK(same_bits(made.p, wrong ? old.p : p));
      CHECK(same_bits(made.m, wrong ? old.m : m));
      CHECK(same_bits(made.v, wrong ? old.v : v));
    }
  }
}

TEST_CASE("products too large for 32-bit indices are refused") {
  const MatmulGeometry g{.rows = Index{1} << 20, .inner = 1, .columns = Index{1} << 12};
  CHECK(functions.tiled.refuse(g) == "wanted operands of at most 2^31 - 1 elements, got a product of 1 x (1048576,1) (1,4096)");
  CHECK(functions.gemm.refuse(g) == "");
}

}  // namespace
}  // namespace wengert::test
