// The direct rung of matrix products and optimisers against plain loops in double, on every target of the machine.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>
#include <wengert/backends/direct/matmul.hpp>
#include <wengert/backends/direct/target.hpp>

using namespace wengert;
using Floats = std::vector<float>;

namespace {

constexpr std::size_t slack = 32;  // kernels may read 64 bytes behind an operand; what stands behind an output must stay
constexpr float sentinel = 12345.0f;
constexpr float epsilon = std::numeric_limits<float>::epsilon();

std::size_t size_of(Index a, Index b = 1) { return static_cast<std::size_t>(a * b); }

// Random numbers with NaN behind them, which must not reach any result.
Floats random_floats(std::mt19937& random, Index count) {
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  Floats made(size_of(count) + slack, std::numeric_limits<float>::quiet_NaN());
  for (std::size_t i = 0; i < size_of(count); ++i) made[i] = uniform(random);
  return made;
}

Floats output(Index count) { return Floats(size_of(count) + slack, sentinel); }

void check_behind(const Floats& out, Index count) {
  for (std::size_t i = size_of(count); i < out.size(); ++i) REQUIRE(out[i] == sentinel);
}

bool same_bits(const float* a, const float* b, std::size_t count) { return count == 0 || std::memcmp(a, b, count * sizeof(float)) == 0; }

// Element (i,j) of a matrix of that many columns, or of its transpose.
using Element = std::function<double(Index, Index)>;
Element element(const Floats& m, Index columns, bool transposed = false) {
  return [&m, columns, transposed](Index i, Index j) {
    return static_cast<double>(m[size_of(transposed ? j * columns + i : i * columns + j)]);
  };
}

// The exact product (rows, columns), and the sum of magnitudes that bounds the rounding error.
struct Exact {
  std::vector<double> value, magnitude;
  Index inner;
};
Exact product(Index rows, Index inner, Index columns, const Element& a, const Element& b) {
  Exact exact{std::vector<double>(size_of(rows, columns)), std::vector<double>(size_of(rows, columns)), inner};
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < columns; ++j) {
      for (Index k = 0; k < inner; ++k) {
        exact.value[size_of(i * columns + j)] += a(i, k) * b(k, j);
        exact.magnitude[size_of(i * columns + j)] += std::abs(a(i, k) * b(k, j));
      }
    }
  }
  return exact;
}

void check(const Floats& got, const Exact& exact) {
  for (std::size_t i = 0; i < exact.value.size(); ++i) {
    const double bound = static_cast<double>(epsilon) * static_cast<double>(exact.inner + 8) * exact.magnitude[i];
    CAPTURE(i);
    REQUIRE(std::abs(static_cast<double>(got[i]) - exact.value[i]) <= bound);
  }
  check_behind(got, static_cast<Index>(exact.value.size()));
}

template <class Body>
void on_every_target(Body body) {
  for (const std::string& name : direct::targets()) {
    CAPTURE(name);
    direct::set_target(name);
    body();
  }
  direct::set_target(direct::targets().front());
}

std::vector<direct::Linear> sizes() {
  std::vector<direct::Linear> all = {{32, 800, 128}, {4, 128, 10}, {7, 400, 120}, {1, 1, 1},  {13, 17, 1},
                                     {0, 5, 3},      {3, 0, 4},    {6, 16, 8},    {5, 70, 0}, {300, 33, 5}};
  std::mt19937 random(7);
  for (int i = 0; i < 40; ++i)
    all.push_back({static_cast<Index>(random() % 20), static_cast<Index>(random() % 150), static_cast<Index>(random() % 40)});
  return all;
}

template <class Body>
void on_every_size(Body body) {
  std::mt19937 random(1);
  for (const direct::Linear& size : sizes()) {
    CAPTURE(size.rows);
    CAPTURE(size.in);
    CAPTURE(size.out);
    const Floats x = random_floats(random, size.rows * size.in), w = random_floats(random, size.out * size.in);
    const Floats y = random_floats(random, size.rows * size.out);
    on_every_target([&] { body(size, x, w, y, random); });
  }
}

}  // namespace

TEST_CASE("linear forward, with bias and ReLU") {
  on_every_size([](const direct::Linear& size, const Floats& x, const Floats& w, const Floats&, std::mt19937& random) {
    Exact exact = product(size.rows, size.in, size.out, element(x, size.in), element(w, size.in, true));
    Floats y = output(size.rows * size.out);
    direct::linear_forward(size, x.data(), w.data(), nullptr, false, y.data());
    check(y, exact);
    const Floats bias = random_floats(random, size.out);
    for (std::size_t i = 0; i < exact.value.size(); ++i) {
      const auto b = static_cast<double>(bias[i % size_of(size.out)]);
      exact.value[i] = std::max(exact.value[i] + b, 0.0);
      exact.magnitude[i] += std::abs(b);
    }
    direct::linear_forward(size, x.data(), w.data(), bias.data(), true, y.data());
    check(y, exact);
  });
}

TEST_CASE("linear data, with a gate") {
  on_every_size([](const direct::Linear& size, const Floats&, const Floats& w, const Floats& y, std::mt19937& random) {
    Exact exact = product(size.rows, size.out, size.in, element(y, size.out), element(w, size.in));
    Floats x = output(size.rows * size.in);
    direct::linear_data(size, y.data(), w.data(), nullptr, x.data());
    check(x, exact);
    const Floats gate = random_floats(random, size.rows * size.in);
    for (std::size_t i = 0; i < exact.value.size(); ++i) exact.value[i] = gate[i] <= 0 ? 0.0 : exact.value[i];
    direct::linear_data(size, y.data(), w.data(), gate.data(), x.data());
    check(x, exact);
  });
}

TEST_CASE("linear weight and bias, any range of outputs alone") {
  on_every_size([](const direct::Linear& size, const Floats& x, const Floats&, const Floats& y, std::mt19937&) {
    const Exact exact = product(size.out, size.rows, size.in, element(y, size.out, true), element(x, size.in));
    const Floats ones(size_of(size.rows), 1.0f);
    const Exact exact_bias = product(size.out, size.rows, 1, element(y, size.out, true), element(ones, 1));
    Floats w = output(size.out * size.in), bias = output(size.out);
    direct::linear_weight(size, x.data(), y.data(), 0, size.out, w.data(), bias.data());
    check(w, exact);
    check(bias, exact_bias);
    const Index first = size.out / 3, last = size.out - size.out / 4;
    Floats part = output(size.out * size.in), part_bias = output(size.out);
    direct::linear_weight(size, x.data(), y.data(), first, last, part.data(), part_bias.data());
    for (Index i = 0; i < size.out * size.in; ++i) {
      const bool inside = i >= first * size.in && i < last * size.in;
      REQUIRE(part[size_of(i)] == (inside ? w[size_of(i)] : sentinel));
    }
    for (Index i = 0; i < size.out; ++i) REQUIRE(part_bias[size_of(i)] == (i >= first && i < last ? bias[size_of(i)] : sentinel));
  });
}

TEST_CASE("a row has the same bits whatever rows stand beside it") {
  const direct::Linear whole{29, 133, 37};
  std::mt19937 random(3);
  const Floats x = random_floats(random, whole.rows * whole.in), w = random_floats(random, whole.out * whole.in);
  const Floats y = random_floats(random, whole.rows * whole.out);
  on_every_target([&] {
    Floats all_y = output(whole.rows * whole.out), all_x = output(whole.rows * whole.in);
    direct::linear_forward(whole, x.data(), w.data(), nullptr, false, all_y.data());
    direct::linear_data(whole, y.data(), w.data(), nullptr, all_x.data());
    for (Index height = 1; height <= 13; ++height) {
      for (Index row = 0; row + height <= whole.rows; row += height) {
        const direct::Linear part{height, whole.in, whole.out};
        Floats some_y = output(height * whole.out), some_x = output(height * whole.in);
        direct::linear_forward(part, x.data() + row * whole.in, w.data(), nullptr, false, some_y.data());
        direct::linear_data(part, y.data() + row * whole.out, w.data(), nullptr, some_x.data());
        REQUIRE(same_bits(some_y.data(), all_y.data() + row * whole.out, size_of(height, whole.out)));
        REQUIRE(same_bits(some_x.data(), all_x.data() + row * whole.in, size_of(height, whole.in)));
      }
    }
  });
}

TEST_CASE("matmul, every storage of the operands") {
  std::mt19937 random(5);
  for (int i = 0; i < 60; ++i) {
    const auto rows = static_cast<Index>(random() % 30), inner = static_cast<Index>(random() % 50),
               columns = static_cast<Index>(random() % 90);
    const bool transpose_a = i % 2, transpose_b = i / 2 % 2;
    CAPTURE(rows);
    CAPTURE(inner);
    CAPTURE(columns);
    CAPTURE(transpose_a);
    CAPTURE(transpose_b);
    const Floats a = random_floats(random, rows * inner), b = random_floats(random, inner * columns);
    const Exact exact = product(rows, inner, columns, element(a, transpose_a ? rows : inner, transpose_a),
                                element(b, transpose_b ? inner : columns, transpose_b));
    on_every_target([&] {
      Floats c = output(rows * columns);
      direct::matmul(rows, inner, columns, transpose_a, transpose_b, a.data(), b.data(), c.data());
      check(c, exact);
    });
  }
}

TEST_CASE("NaN and infinity pass through the products and the ReLU; a NaN in the gate lets pass") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  on_every_target([&] {
    const direct::Linear size{3, 19, 5};
    for (Index at : {Index{0}, Index{18}}) {  // in a whole vector and in the remainder
      Floats x(size_of(size.rows * size.in) + slack, 1.0f), w(size_of(size.out * size.in) + slack, 1.0f),
          y(size_of(size.rows * size.out) + slack, 0.0f);
      x[size_of(at)] = nan;
      x[size_of(size.in + at)] = infinity;
      x[size_of(2 * size.in + at)] = -infinity;
      direct::linear_forward(size, x.data(), w.data(), nullptr, true, y.data());
      for (std::size_t o = 0; o < 5; ++o) {
        CHECK(std::isnan(y[o]));
        CHECK(y[5 + o] == infinity);
        CHECK(y[10 + o] == 0.0f);
      }
    }
    const Floats y(size_of(size.rows * size.out) + slack, 1.0f), w(size_of(size.out * size.in) + slack, 1.0f);
    Floats gate(size_of(size.rows * size.in) + slack, -0.0f), x = output(size.rows * size.in);
    gate[1] = nan;
    gate[18] = 1.0f;
    direct::linear_data(size, y.data(), w.data(), gate.data(), x.data());
    for (std::size_t i = 0; i < 57; ++i) REQUIRE(x[i] == (i == 1 || i == 18 ? 5.0f : 0.0f));
  });
}

namespace {
const direct::AdamStep step{
    .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8f, .rate = 1e-2f, .correction1 = 0.271f, .correction2 = 0.003f, .decay = 0.1f};

void adam_in_double(double g, double& p, double& m, double& v) {
  m = step.beta1 * m + (1 - step.beta1) * g;
  v = step.beta2 * v + (1 - step.beta2) * g * g;
  p -= double{step.rate} * double{step.decay} * p;
  p -= double{step.rate} / double{step.correction1} * m / (std::sqrt(v) / std::sqrt(double{step.correction2}) + double{step.epsilon});
}

void absolute(Floats& v) {
  for (float& value : v) value = std::abs(value);
}
void close_run(Floats& v, Index count) { std::fill(v.begin() + count, v.end(), sentinel); }
}  // namespace

TEST_CASE("adam and sgd against double, any length") {
  std::mt19937 random(9);
  for (Index count = 0; count < 70; ++count) {
    CAPTURE(count);
    const Floats g = random_floats(random, count);
    Floats p = random_floats(random, count), m = random_floats(random, count), v = random_floats(random, count);
    absolute(v);
    for (Floats* run : {&p, &m, &v}) close_run(*run, count);
    on_every_target([&] {
      Floats next_p = p, next_m = m, next_v = v, sgd_p = p, velocity = m;
      direct::adam(step, count, g.data(), next_p.data(), next_m.data(), next_v.data());
      direct::sgd(0.1f, 0.9f, 0.01f, count, g.data(), sgd_p.data(), velocity.data());
      for (std::size_t i = 0; i < size_of(count); ++i) {
        double pi = double{p[i]}, mi = double{m[i]}, vi = double{v[i]};
        adam_in_double(double{g[i]}, pi, mi, vi);
        REQUIRE(double{next_m[i]} == doctest::Approx(mi).epsilon(1e-6));
        REQUIRE(double{next_v[i]} == doctest::Approx(vi).epsilon(1e-6));
        REQUIRE(double{next_p[i]} == doctest::Approx(pi).epsilon(1e-6));
        const double wanted = double{0.9f} * double{m[i]} + double{g[i]} + double{0.01f} * double{p[i]};
        REQUIRE(double{velocity[i]} == doctest::Approx(wanted).epsilon(1e-6));
        REQUIRE(double{sgd_p[i]} == doctest::Approx(double{p[i]} - double{0.1f} * wanted).epsilon(1e-6));
      }
      for (const Floats* run : {&next_p, &next_m, &next_v, &sgd_p, &velocity}) check_behind(*run, count);
    });
  }
}

TEST_CASE("the weight gradient with Adam has the bits of the gradient and then Adam, over any ranges of outputs") {
  on_every_size([](const direct::Linear& size, const Floats& x, const Floats& w, const Floats& y, std::mt19937& random) {
    const Index count = size.out * size.in;
    Floats gradient = output(count), p = w, m = random_floats(random, count), v = random_floats(random, count);
    absolute(v);
    for (Floats* run : {&p, &m, &v}) close_run(*run, count);
    Floats fused_p = p, fused_m = m, fused_v = v;
    direct::linear_weight(size, x.data(), y.data(), 0, size.out, gradient.data(), nullptr);
    direct::adam(step, count, gradient.data(), p.data(), m.data(), v.data());
    const Index cut = size.out / 3;
    direct::linear_weight_adam(size, step, x.data(), y.data(), 0, cut, fused_p.data(), fused_m.data(), fused_v.data());
    direct::linear_weight_adam(size, step, x.data(), y.data(), cut, size.out, fused_p.data(), fused_m.data(), fused_v.data());
    CHECK(same_bits(p.data(), fused_p.data(), p.size()));
    CHECK(same_bits(m.data(), fused_m.data(), m.size()));
    CHECK(same_bits(v.data(), fused_v.data(), v.size()));
  });
}
