// The direct rung of activations, arithmetic, layouts, softmax and batch norm against plain loops in double, on every vector target.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

#include <wengert/backends/direct/elementwise.hpp>

#include "direct_support.hpp"

namespace {

using namespace wengert;
using direct::Binary;
using direct::Unary;
using test::Floats;
using test::for_each_target;
using test::Integers;
using test::laid_out;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float smallest = std::numeric_limits<float>::min();
constexpr double eps = 0x1p-24;  // half a unit in the last place of 1
constexpr Layout layouts[] = {Layout::nchw, Layout::nhwc8};

double exact(Unary f, double a) {
  switch (f) {
    case Unary::relu: return a <= 0 ? 0 : a;
    case Unary::negate: return -a;
    case Unary::exp: return std::exp(a);
    case Unary::log: return std::log(a);
    case Unary::sqrt: return std::sqrt(a);
    case Unary::tanh: return std::tanh(a);
    default: return (a >= 0 ? 1 : std::exp(a)) / (1 + std::exp(-std::abs(a)));
  }
}

// What naive computes in float: all of these are exact but for the rounding.
float exact(Binary f, float a, float b) {
  switch (f) {
    case Binary::add: return a + b;
    case Binary::subtract: return a - b;
    case Binary::multiply: return a * b;
    case Binary::divide: return a / b;
    case Binary::maximum: return std::isnan(a) || a >= b ? a : b;
    default: return b <= 0 ? 0 : a;
  }
}

// In units in the last place of the wanted value; 0 where both are the same, or smaller than any normal number.
double error_in_units(float got, double wanted) {
  if (test::same(static_cast<double>(got), static_cast<double>(static_cast<float>(wanted)))) return 0;
  if (std::abs(wanted) < smallest) return std::abs(got) <= smallest ? 0 : HUGE_VAL;
  if (!std::isfinite(wanted)) return HUGE_VAL;
  return std::abs(static_cast<double>(got) - wanted) / std::ldexp(1.0, std::ilogb(wanted) - 23);
}

double allowed(Unary f) { return f == Unary::relu || f == Unary::negate ? 0 : f == Unary::sqrt ? 0.5 : 4; }

constexpr Unary unaries[] = {Unary::relu, Unary::negate, Unary::exp, Unary::log, Unary::sqrt, Unary::tanh, Unary::sigmoid};
constexpr Binary binaries[] = {Binary::add, Binary::subtract, Binary::multiply, Binary::divide, Binary::maximum, Binary::gate};

TEST_CASE("functions of one value keep their bounds over all magnitudes") {
  Floats values(0);
  {
    std::vector<float> all;
    const std::uint32_t step = 9973;  // prime: all exponents, both signs
    for (std::uint64_t bits = 0; bits <= 0xFFFFFFFFu; bits += step) {
      const auto word = static_cast<std::uint32_t>(bits);
      float value;
      std::memcpy(&value, &word, sizeof value);
      if (value == 0 || std::abs(value) >= smallest) all.push_back(value);  // denormals: flushed or not as the caller's environment says
    }
    for (double value = -110; value < 110; value += 0.00071) all.push_back(static_cast<float>(value));
    for (double value = 0.5; value < 2; value += 1.1e-5) all.push_back(static_cast<float>(value));  // log near 1
    values = Floats(all);
  }
  for_each_target([&] {
    for (const Unary f : unaries) {
      CAPTURE(static_cast<int>(f));
      Floats out(values.size());
      direct::unary(f, values.size(), values.data(), out.data());
      double worst = 0;
      Index at = 0;
      for (Index i = 0; i < values.size(); ++i) {
        const double error = error_in_units(out[i], exact(f, values[i]));
        if (error > worst) worst = error, at = i;
      }
      CAPTURE(values[at]);
      CAPTURE(out[at]);
      CHECK(worst <= allowed(f));
      CHECK(out.intact());
    }
  });
}

TEST_CASE("special values, in every lane and in place") {
  const std::vector<float> specials = {nan, infinity, -infinity, 0.0f, -0.0f, 1.0f, -1.0f, 104.0f, -104.0f, 1e30f, -1e30f};
  const auto many = static_cast<Index>(specials.size());
  for_each_target([&] {
    for (Index count = 0; count <= 40; ++count) {
      Floats a(count), b(count);
      for (Index i = 0; i < count; ++i) {
        a[i] = specials[static_cast<std::size_t>(i % many)];
        b[i] = specials[static_cast<std::size_t>(i * 7 / many % many)];
      }
      for (const Unary f : unaries) {
        Floats out = a;
        direct::unary(f, count, out.data(), out.data());
        for (Index i = 0; i < count; ++i) {
          CAPTURE(static_cast<int>(f));
          CAPTURE(a[i]);
          CAPTURE(out[i]);
          CHECK(error_in_units(out[i], exact(f, a[i])) <= allowed(f));
        }
        CHECK(out.intact());
      }
      for (const Binary f : binaries) {
        for (const bool in_second : {false, true}) {
          Floats out = in_second ? b : a;
          direct::binary(f, count, in_second ? a.data() : out.data(), in_second ? out.data() : b.data(), out.data());
          for (Index i = 0; i < count; ++i) {
            CAPTURE(static_cast<int>(f));
            CAPTURE(a[i]);
            CAPTURE(b[i]);
            CHECK(test::same(out[i], exact(f, a[i], b[i])));
          }
          CHECK(out.intact());
        }
      }
    }
  });
}

TEST_CASE("arithmetic of random values is rounded once") {
  std::mt19937 random(1);
  const Floats a = test::random_floats(random, 1003), b = test::random_floats(random, 1003);
  for_each_target([&] {
    Floats out(a.size());
    for (const Binary f : binaries) {
      direct::binary(f, a.size(), a.data(), b.data(), out.data());
      for (Index i = 0; i < a.size(); ++i) CHECK(out[i] == exact(f, a[i], b[i]));
    }
    direct::affine(1.25f, -0.3f, a.size(), a.data(), out.data());
    for (Index i = 0; i < a.size(); ++i)
      CHECK(std::abs(static_cast<double>(out[i]) - (1.25 * static_cast<double>(a[i]) - static_cast<double>(0.3f))) <= 4 * eps);
    CHECK(out.intact());
  });
}

TEST_CASE("keeps_zero says what becomes of padding") {
  const float zero = 0;
  for (const Unary f : unaries) {
    float out;
    direct::unary(f, 1, &zero, &out);
    CHECK((out == 0) == direct::keeps_zero(f));
  }
  for (const Binary f : binaries) {
    float out;
    direct::binary(f, 1, &zero, &zero, &out);
    CHECK((out == 0) == direct::keeps_zero(f));
  }
}

// body(images, channels, pixels) on small sizes of every kind.
void for_each_size(const std::function<void(Index, Index, Index)>& body) {
  for (const Index images : {0, 1, 3}) {
    for (const Index channels : {1, 3, 4, 7, 8, 9, 13, 16, 21}) {
      for (const Index pixels : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 100}) {
        CAPTURE(images);
        CAPTURE(channels);
        CAPTURE(pixels);
        body(images, channels, pixels);
      }
    }
  }
}

TEST_CASE("reorder moves the bits, either way, and writes padding as zero") {
  std::mt19937 random(2);
  for_each_target([&] {
    for_each_size([&](Index images, Index channels, Index pixels) {
      Integers plain(images * channels * pixels);  // any bits, those of signalling NaNs and denormals too
      for (Index i = 0; i < plain.size(); ++i) plain[i] = static_cast<std::int32_t>(random());
      const Integers wanted = laid_out(Layout::nhwc8, images, channels, pixels, plain);
      Integers blocks(wanted.size(), -1), back(plain.size(), -1);
      direct::reorder(Layout::nchw, Layout::nhwc8, images, channels, pixels, plain.data(), blocks.data());
      CHECK(test::same_bits(blocks, wanted));
      direct::reorder(Layout::nhwc8, Layout::nchw, images, channels, pixels, blocks.data(), back.data());
      CHECK(test::same_bits(back, plain));
      CHECK(blocks.intact());
      CHECK(back.intact());
    });
  });
}

TEST_CASE("add_channels and sum_channels") {
  std::mt19937 random(3);
  for_each_target([&] {
    for_each_size([&](Index images, Index channels, Index pixels) {
      const Floats plain = test::random_floats(random, images * channels * pixels), b = test::random_floats(random, channels);
      for (const Layout layout : layouts) {
        const Floats x = laid_out(layout, images, channels, pixels, plain);
        for (const bool relu : {false, true}) {
          Floats wanted(plain.size()), out(x.size(), 7);
          for (Index i = 0; i < plain.size(); ++i) {
            const float sum = plain[i] + b[i / pixels % channels];
            wanted[i] = relu && sum <= 0 ? 0 : sum;
          }
          direct::add_channels(layout, images, channels, pixels, x.data(), b.data(), relu, out.data());
          CHECK(test::first_difference(out, laid_out(layout, images, channels, pixels, wanted)) == -1);
          CHECK(out.intact());
        }
        Floats sums(channels, 7);
        direct::sum_channels(layout, images, channels, pixels, x.data(), sums.data());
        for (Index c = 0; c < channels; ++c) {
          double sum = 0;
          for (Index n = 0; n < images; ++n) {
            for (Index p = 0; p < pixels; ++p) sum += static_cast<double>(plain[(n * channels + c) * pixels + p]);
          }
          CHECK(std::abs(static_cast<double>(sums[c]) - sum) <= 2 * eps * static_cast<double>(images * pixels + 1));
        }
        CHECK(sums.intact());
      }
    });
  });
}

TEST_CASE("sum_channels keeps its digits over many pixels, and NaN") {
  for_each_target([&] {
    for (const Layout layout : layouts) {
      const Index images = 3, channels = 9, pixels = 20011;
      Floats plain(images * channels * pixels, 1.1f);
      plain[5 * pixels + 77] = nan;
      Floats sums(channels);
      direct::sum_channels(layout, images, channels, pixels, laid_out(layout, images, channels, pixels, plain).data(), sums.data());
      for (Index c = 0; c < channels; ++c) {
        const double wanted = c == 5 ? static_cast<double>(nan) : static_cast<double>(1.1f) * static_cast<double>(images * pixels);
        CHECK((c == 5 ? std::isnan(sums[c]) : std::abs(static_cast<double>(sums[c]) - wanted) <= 1e-6 * wanted));
      }
    }
  });
}

// ---- softmax

struct Row {
  double log_sum, loss;
  std::vector<double> gradient;
};

// wanted: the probabilities, or empty where none are.
Row exact_row(const float* logits, Index classes, const std::vector<double>& wanted, double scale) {
  double largest = static_cast<double>(logits[0]), sum = 0, mass = wanted.empty() ? 1 : 0;
  for (Index c = 0; c < classes; ++c) largest = std::max(largest, static_cast<double>(logits[c]));
  for (Index c = 0; c < classes; ++c) sum += std::exp(static_cast<double>(logits[c]) - largest);
  Row row{largest + std::log(sum), 0, {}};
  for (const double p : wanted) mass += p;
  for (Index c = 0; c < classes; ++c) {
    const double p = wanted.empty() ? 0 : wanted[static_cast<std::size_t>(c)];
    if (p != 0) row.loss += p * (row.log_sum - static_cast<double>(logits[c]));
    row.gradient.push_back((mass * std::exp(static_cast<double>(logits[c]) - row.log_sum) - p) * scale);
  }
  if (wanted.empty()) row.loss = row.log_sum;
  return row;
}

TEST_CASE("softmax cross-entropy of classes, of probabilities and of neither") {
  std::mt19937 random(4);
  enum class Wanted { classes, probabilities, nothing };
  for_each_target([&] {
    for (const Index classes : {1, 2, 3, 8, 10, 15, 16, 17, 33, 100}) {
      for (const Index rows : {0, 1, 31, 32, 35}) {
        for (const double range : {1.0, 60.0}) {
          for (const Wanted kind : {Wanted::classes, Wanted::probabilities, Wanted::nothing}) {
            CAPTURE(classes);
            CAPTURE(rows);
            CAPTURE(static_cast<int>(kind));
            const Floats logits = test::random_floats(random, rows * classes, -range, range);
            Floats probabilities = test::random_floats(random, rows * classes, 0, 1);
            Integers labels(rows);
            for (Index r = 0; r < rows; ++r) {
              labels[r] = static_cast<std::int32_t>(test::one_of(random, 0, classes - 1));
              probabilities[r * classes] = 0;
            }
            const float scale = 0.125f;
            Floats losses(rows, 7), gradient(rows * classes, 7), only_losses(rows), only_gradient(rows * classes);
            const auto* const l = kind == Wanted::classes ? labels.data() : nullptr;
            const auto* const p = kind == Wanted::probabilities ? probabilities.data() : nullptr;
            direct::softmax_cross_entropy(rows, classes, logits.data(), l, p, scale, losses.data(), gradient.data());
            direct::softmax_cross_entropy(rows, classes, logits.data(), l, p, scale, only_losses.data(), nullptr);
            direct::softmax_cross_entropy(rows, classes, logits.data(), l, p, scale, nullptr, only_gradient.data());
            CHECK(test::same_bits(losses, only_losses));
            CHECK(test::same_bits(gradient, only_gradient));
            CHECK(losses.intact());
            CHECK(gradient.intact());
            for (Index r = 0; r < rows; ++r) {
              std::vector<double> wanted(kind == Wanted::nothing ? 0 : static_cast<std::size_t>(classes));
              double mass = 1;
              if (l != nullptr) wanted[static_cast<std::size_t>(labels[r])] = 1;
              if (p != nullptr) {
                mass = 0;
                for (Index c = 0; c < classes; ++c)
                  mass += wanted[static_cast<std::size_t>(c)] = static_cast<double>(probabilities[r * classes + c]);
              }
              const Row row = exact_row(logits.data() + r * classes, classes, wanted, static_cast<double>(scale));
              CHECK(std::abs(static_cast<double>(losses[r]) - row.loss) <= 16 * eps * (1 + mass) * (range + 5));
              for (Index c = 0; c < classes; ++c)
                CHECK(std::abs(static_cast<double>(gradient[r * classes + c]) - row.gradient[static_cast<std::size_t>(c)]) <=
                      32 * eps * (1 + mass) * 0.125);
            }
          }
        }
      }
    }
  });
}

TEST_CASE("softmax cross-entropy with infinities, NaN and labels that are no class") {
  const Index classes = 10;
  for_each_target([&] {
    Floats logits(5 * classes, 0.5f), losses(5), gradient(5 * classes);
    logits[0 * classes + 3] = -infinity;  // a class that cannot be
    logits[1 * classes + 3] = nan;
    logits[2 * classes + 9] = infinity;
    const Integers labels(std::vector<std::int32_t>{1, 2, 4, 10, -1});
    direct::softmax_cross_entropy(5, classes, logits.data(), labels.data(), nullptr, 1, losses.data(), gradient.data());
    CHECK(losses[0] == doctest::Approx(std::log(9.0)));
    CHECK(gradient[3] == 0.0f);
    for (Index r = 1; r < 5; ++r) {
      CHECK(std::isnan(losses[r]));
      CHECK(std::isnan(gradient[r * classes]));
    }
  });
}

// ---- batch norm

TEST_CASE("batch norm and its gradients, the channels in two parts") {
  std::mt19937 random(5);
  for_each_target([&] {
    for_each_size([&](Index images, Index channels, Index pixels) {
      if (images == 0) return;
      const Index size = images * channels * pixels;
      const double count = static_cast<double>(images * pixels);
      Floats plain = test::random_floats(random, size, 9, 11);  // far from 0, where one pass would lose the variance
      const Floats plain_dy = test::random_floats(random, size), gamma = test::random_floats(random, channels),
                   beta = test::random_floats(random, channels);
      for (Index c = 0; c < channels; ++c) {
        for (Index i = 0; c == 2 && i < images * pixels; ++i)
          plain[(i / pixels * channels + c) * pixels + i % pixels] = 10.5f;  // variance 0
      }
      for (const Layout layout : layouts) {
        const Floats x = laid_out(layout, images, channels, pixels, plain), dy = laid_out(layout, images, channels, pixels, plain_dy);
        const bool relu = (channels + pixels) % 2 == 0;
        const direct::BatchNorm sizes{layout, images, channels, pixels, 0.01f};
        Floats y(x.size(), 7), dx(x.size(), 7), mean(channels), variance(channels), dgamma(channels), dbeta(channels);
        const Index cut = layout == Layout::nchw ? channels / 2 : channels / 16 * 8;
        for (const auto& [first, last] : {std::pair<Index, Index>{0, cut}, {cut, channels}}) {
          direct::batch_norm(sizes, first, last, x.data(), gamma.data(), beta.data(), relu, y.data(), mean.data(), variance.data());
          direct::batch_norm_data(sizes, first, last, x.data(), gamma.data(), mean.data(), variance.data(), dy.data(), dx.data(),
                                  dgamma.data(), dbeta.data());
        }
        Floats no_dgamma(channels), no_dbeta(channels);
        direct::batch_norm_data(sizes, 0, channels, x.data(), gamma.data(), mean.data(), variance.data(), dy.data(), nullptr,
                                no_dgamma.data(), no_dbeta.data());
        CHECK(test::same_bits(no_dgamma, dgamma));
        CHECK(test::same_bits(no_dbeta, dbeta));
        for (const Floats* out : {&y, &dx, &mean, &variance, &dgamma, &dbeta}) CHECK(out->intact());
        Floats wanted_y(size), wanted_dx(size);
        double worst_y = 0, worst_dx = 0;
        for (Index c = 0; c < channels; ++c) {
          std::vector<Index> places;
          for (Index i = 0; i < images * pixels; ++i) places.push_back((i / pixels * channels + c) * pixels + i % pixels);
          double centre = 0, squares = 0, sum_dy = 0, sum_dy_h = 0;
          for (const Index i : places) centre += static_cast<double>(plain[i]) / count;
          for (const Index i : places) squares += std::pow(static_cast<double>(plain[i]) - centre, 2) / count;
          const double r = 1 / std::sqrt(squares + static_cast<double>(0.01f)), g = static_cast<double>(gamma[c]);
          for (const Index i : places) {
            sum_dy += static_cast<double>(plain_dy[i]);
            sum_dy_h += static_cast<double>(plain_dy[i]) * (static_cast<double>(plain[i]) - centre) * r;
          }
          CHECK(std::abs(static_cast<double>(mean[c]) - centre) <= 16 * eps * 11);
          CHECK(std::abs(static_cast<double>(variance[c]) - squares) <= 256 * eps);
          CHECK(std::abs(static_cast<double>(dbeta[c]) - sum_dy) <= 8 * eps * count);
          CHECK(std::abs(static_cast<double>(dgamma[c]) - sum_dy_h) <= 512 * eps * count * r);
          for (const Index i : places) {
            const double h = (static_cast<double>(plain[i]) - centre) * r;
            double value = g * h + static_cast<double>(beta[c]);
            if (relu && value < 0) value = 0;
            const Index at = test::place(layout, channels, pixels, i / (channels * pixels), c, i % pixels);
            worst_y = std::max(worst_y, std::abs(static_cast<double>(y[at]) - value));
            worst_dx = std::max(worst_dx, std::abs(static_cast<double>(dx[at]) -
                                                   g * r * (static_cast<double>(plain_dy[i]) - (sum_dy + h * sum_dy_h) / count)));
          }
        }
        CHECK(worst_y <= 512 * eps * 10);
        CHECK(worst_dx <= 512 * eps * 100);
        if (layout == Layout::nhwc8) {
          for (Index n = 0; n < images; ++n) {
            for (Index c = channels; c % 8 != 0; ++c) {
              for (Index p = 0; p < pixels; ++p) {
                CHECK(y[test::place(layout, channels, pixels, n, c, p)] == 0);
                CHECK(dx[test::place(layout, channels, pixels, n, c, p)] == 0);
              }
            }
          }
        }
      }
    });
  });
}

TEST_CASE("batch norm with epsilon 0 keeps padding lanes zero, and NaN its channel") {
  for_each_target([&] {
    const Index images = 2, channels = 3, pixels = 5;
    std::mt19937 random(6);
    Floats plain = test::random_floats(random, images * channels * pixels);
    plain[pixels + 2] = nan;  // channel 1
    const Floats x = laid_out(Layout::nhwc8, images, channels, pixels, plain), ones(channels, 1.0f);
    Floats y(x.size(), 7), mean(channels), variance(channels);
    direct::batch_norm({Layout::nhwc8, images, channels, pixels, 0}, 0, channels, x.data(), ones.data(), ones.data(), true, y.data(),
                       mean.data(), variance.data());
    for (Index i = 0; i < y.size(); ++i) {
      if (i % 8 >= channels) CHECK(y[i] == 0);
      else CHECK(std::isnan(y[i]) == (i % 8 == 1));
    }
  });
}

}  // namespace
