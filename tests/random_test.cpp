// Philox against its published vectors, the streams built on it, and the suggestion of names in errors.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <wengert/engine/error.hpp>
#include <wengert/engine/random.hpp>

using namespace wengert;

namespace {

using Words = std::array<std::uint32_t, 4>;

}  // namespace

TEST_CASE("philox: the known answers of Random123 (kat_vectors, philox4x32 10)") {
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("random: hash_name is FNV-1a, known values") {
  CHECK(hash_name("") == 0xcbf29ce484222325U);
  CHECK(hash_name("a") == 0xaf63dc4c8601ec8cU);
  CHECK(hash_name("foobar") == 0x85944171f73967e8U);
}

TEST_CASE("random: a value depends on seed, name, step and index alone") {
  const RandomStream random = random_stream(7, "conv1.weight", 3);
  const Words block = philox(
      {5, 3, static_cast<std::uint32_t>(hash_name("conv1.weight")), static_cast<std::uint32_t>(hash_name("conv1.weight") >> 32)}, {7, 0});
  for (Index i = 0; i < 4; ++i) CHECK(random.at(20 + i) == block[static_cast<std::size_t>(i)]);
  CHECK(random.uniform(20) == static_cast<double>(block[0] >> 8) / 16777216.0);
  for (const RandomStream& other : {random_stream(8, "conv1.weight", 3), random_stream(7, "conv2.weight", 3),
                                    random_stream(7, "conv1.weight", 4), random_stream(7ULL + (1ULL << 32), "conv1.weight", 3)}) {
    CHECK(other.at(20) != random.at(20));
  }
}

TEST_CASE("random: filling in pieces gives the bits of filling at once") {
  const RandomStream random = random_stream(1, "pieces");
  std::vector<float> whole(37), pieces(37);
  std::vector<double> whole_normal(37), pieces_normal(37);
  std::vector<float> whole_mask(37), pieces_mask(37);
  fill_uniform(random, whole, -0.3, 0.7);
  fill_normal(random, whole_normal, 1.0, 2.0);
  fill_bernoulli(random, whole_mask, 0.25);
  for (std::size_t first = 0; first < 37; first += 5) {
    const std::size_t count = std::min<std::size_t>(5, 37 - first);
    const auto at = static_cast<Index>(first);
    fill_uniform(random, std::span(pieces).subspan(first, count), -0.3, 0.7, at);
    fill_normal(random, std::span(pieces_normal).subspan(first, count), 1.0, 2.0, at);
    fill_bernoulli(random, std::span(pieces_mask).subspan(first, count), 0.25, at);
  }
  CHECK(whole == pieces);
  CHECK(whole_normal == pieces_normal);
  CHECK(whole_mask == pieces_mask);
  CHECK(whole[9] == static_cast<float>(-0.3 + (0.7 - -0.3) * random.uniform(9)));
}

TEST_CASE("random: moments and ranges over 200,000 draws") {
  constexpr std::size_t count = 200000;
  const RandomStream random = random_stream(42, "moments");
  std::vector<float> uniform(count);
  fill_uniform(random, uniform, -2.0, 4.0);
  CHECK(*std::min_element(uniform.begin(), uniform.end()) >= -2.0F);
  CHECK(*std::max_element(uniform.begin(), uniform.end()) < 4.0F);
  double sum = 0, squares = 0;
  for (const float x : uniform) sum += x;
  CHECK(std::abs(sum / count - 1.0) < 0.02);  // five standard errors of sqrt(3 / 200000)

  std::vector<double> normal(count);
  fill_normal(random, normal, 0.0, 1.0);
  sum = 0;
  for (const double x : normal) {
    sum += x;
    squares += x * x;
  }
  CHECK(std::abs(sum / count) < 0.0112);
  CHECK(std::abs(squares / count - 1.0) < 0.0159);

  std::vector<double> mask(count);
  fill_bernoulli(random, mask, 0.3);
  CHECK(std::abs(static_cast<double>(std::count(mask.begin(), mask.end(), 1.0)) / count - 0.3) < 0.0052);
  fill_bernoulli(random, mask, 1.0);
  CHECK(std::count(mask.begin(), mask.end(), 1.0) == static_cast<std::ptrdiff_t>(count));
  fill_bernoulli(random, mask, 0.0);
  CHECK(std::count(mask.begin(), mask.end(), 0.0) == static_cast<std::ptrdiff_t>(count));
}

TEST_CASE("random: rounding to float never reaches the upper end") {
  // One float lies between 1 and the end, so that most draws round to the end.
  const float end = std::nextafter(std::nextafter(1.0F, 2.0F), 2.0F);
  std::vector<float> out(1000);
  fill_uniform(random_stream(1, "edge"), out, 1.0, static_cast<double>(end));
  CHECK(*std::max_element(out.begin(), out.end()) < end);
  CHECK(*std::min_element(out.begin(), out.end()) >= 1.0F);
}

TEST_CASE("random: permutations are complete, even and repeatable") {
  for (const Index n : {0, 1, 2, 3, 10, 1001}) {
    std::vector<Index> order = permutation(n, random_stream(3, "shuffle", 1));
    CHECK(order == permutation(n, random_stream(3, "shuffle", 1)));
    std::sort(order.begin(), order.end());
    bool complete = static_cast<Index>(order.size()) == n;
    for (Index i = 0; complete && i < n; ++i) complete = order[static_cast<std::size_t>(i)] == i;
    CHECK(complete);
  }
  CHECK(permutation(1001, random_stream(3, "shuffle", 1)) != permutation(1001, random_stream(3, "shuffle", 2)));
  // All 24 orders of four come up about equally often: 1000 +- 5 standard deviations of 31.
  std::array<int, 256> seen{};
  for (std::uint32_t step = 0; step < 24000; ++step) {
    const std::vector<Index> order = permutation(4, random_stream(5, "even", step));
    ++seen[static_cast<std::size_t>(order[0] * 64 + order[1] * 16 + order[2] * 4 + order[3])];
  }
  CHECK(std::count(seen.begin(), seen.end(), 0) == 256 - 24);
  CHECK(std::all_of(seen.begin(), seen.end(), [](int times) { return times == 0 || (times > 845 && times < 1155); }));
}

TEST_CASE("random: a few draws as they have always been, so that no saved run changes") {
  const std::vector<Index> expected_order = {5, 4, 7, 3, 6, 2, 0, 1};
  CHECK(permutation(8, random_stream(1, "shuffle", 0)) == expected_order);
  CHECK(random_stream(1, "conv1.weight").at(0) == 0xbc6f5df5U);
}

TEST_CASE("random: bad ranges are errors") {
  std::vector<float> out(4);
  const RandomStream random = random_stream(1, "range");
  CHECK_THROWS_AS(fill_uniform(random, out, 0, 1, -1), Error);
  CHECK_THROWS_AS(fill_uniform(random, out, 0, 1, (Index{1} << 34) - 3), Error);
  CHECK_NOTHROW(fill_uniform(random, out, 0, 1, (Index{1} << 34) - 4));
  CHECK_THROWS_AS(fill_bernoulli(random, out, 1.5), Error);
  CHECK_THROWS_AS(fill_bernoulli(random, out, std::nan("")), Error);
  CHECK_THROWS_AS(permutation(-1, random), Error);
}

TEST_CASE("error: the nearest name is suggested, a far one is not") {
  const std::vector<std::string> valid = {"conv2d", "max_pool2d", "relu", "linear", "flatten"};
  CHECK(nearest_name("conv2", valid) == "conv2d");
  CHECK(nearest_name("cnov2d", valid) == "conv2d");
  CHECK(nearest_name("maxpool2d", valid) == "max_pool2d");
  CHECK(nearest_name("ReLU", valid) == "relu");
  CHECK(nearest_name("relu", valid) == "relu");
  CHECK(nearest_name("transformer", valid).empty());
  CHECK(nearest_name("", valid).empty());
  CHECK(nearest_name("xy", std::vector<std::string>{"ab"}).empty());
  CHECK(nearest_name("relu", {}).empty());
  CHECK(nearest_name(std::string(100000, 'r'), valid).empty());
  CHECK(suggestion("lienar", valid) == "; did you mean 'linear'?");
  CHECK(suggestion("transformer", valid) == "; valid: conv2d, max_pool2d, relu, linear, flatten");
  CHECK(suggestion("x", {}).empty());
}
