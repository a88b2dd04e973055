// CUDA's elementwise kernels in the emulator against the naive ones: bits are the same, on odd sizes, on what is not finite, in every order.
#include <wengert/backends/cuda/kernels/elementwise.hpp>
#include <wengert/backends/naive/chain.hpp>
#include <wengert/engine/strided.hpp>

#include "cuda_kernels.hpp"
#include "ops_support.hpp"

namespace {

using namespace wengert;
using namespace wengert::test;
using cuda::Elementwise;
using cuda::emulated::elementwise_functions;
using F = ChainLink::Function;

// The inputs of a chain in the form that `read` asks for.
Floats input_of(std::mt19937& random, ChainOperand read, const Shape& shape) {
  const Index channels = shape.rank() > 1 ? shape[1] : 1;
  return special_floats(random, read == ChainOperand::each ? shape.elements() : read == ChainOperand::one ? 1 : channels);
}

Floats naive_chain(const Chain& chain, std::vector<Floats> inputs, const Shape& shape) {
  std::vector<View> views;
  for (Floats& input : inputs) views.push_back({input.data(), Shape{size_of(input)}});
  Floats out(static_cast<std::size_t>(shape.elements()));
  naive::chain(chain, views, {out.data(), shape});
  return out;
}

// `skip` elements of memory lie before each value.
Floats cuda_chain(const Chain& chain, const std::vector<Floats>& inputs, const Shape& shape, Index skip = 0) {
  return in_all_orders([&](EmulatedDevice& device) {
    std::vector<const float*> pointers;
    for (const Floats& input : inputs) {
      Floats padded(static_cast<std::size_t>(skip), not_a_number);
      padded.insert(padded.end(), input.begin(), input.end());
      pointers.push_back(device.put(padded) + skip);
    }
    float* const out = device.allocate<float>(shape.elements() + skip) + skip;
    elementwise_functions().chain(device.queue(), chain, pointers, shape, out);
    return device.get(out, shape.elements());
  });
}

void check_chain(const Chain& chain, const Shape& shape, std::mt19937& random, Index skip = 0) {
  CAPTURE(chain.describe());
  CAPTURE(shape.text());
  CHECK(elementwise_functions().refuse_chain(chain) == "");
  std::vector<Floats> inputs;
  for (const ChainOperand read : chain.operands) inputs.push_back(input_of(random, read, shape));
  check_same(cuda_chain(chain, inputs, shape, skip), naive_chain(chain, inputs, shape));
}

// Links read what came before them at random.
Chain random_chain(std::mt19937& random, int links) {
  Chain chain;
  const auto below = [&](int bound) { return static_cast<int>(random() % static_cast<unsigned>(bound)); };
  chain.operands.push_back(ChainOperand::each);
  for (int k = below(4); k > 0; --k) chain.operands.push_back(static_cast<ChainOperand>(below(3)));
  for (int l = 0; l < links; ++l) {
    const int known = chain.inputs() + l;
    ChainLink link{chain_functions[below(static_cast<int>(std::size(chain_functions)))], below(3) == 0 ? below(known) : known - 1};
    if (link.function >= F::add) link.b = below(known);
    if (link.function == F::affine) link.scale = 0.5, link.shift = below(2);
    chain.links.push_back(link);
  }
  return chain;
}

TEST_CASE("cuda chains: every function alone") {
  std::mt19937 random(1);
  for (const F f : chain_functions) {
    Chain chain{{ChainOperand::each, ChainOperand::each}, {{f, 0, f >= F::add ? 1 : -1, -1.5, 0.25}}};
    for (const Index size : {1, 3, 4, 29}) check_chain(chain, {size}, random);
  }
}

TEST_CASE("cuda chains: random ones, read in every way, aligned and not") {
  std::mt19937 random(2);
  for (int round = 0; round < 40; ++round) {
    const Chain chain = random_chain(random, 1 + round % 9);
    check_chain(chain, {2, 3, 1 + round % 5, 3}, random, round % 2);
  }
  check_chain(random_chain(random, 30), {3, 5, 2, 2}, random);
  check_chain(random_chain(random, 3), {0, 3}, random);
  check_chain(random_chain(random, 3), {}, random);
}

TEST_CASE("cuda chains: many blocks") {
  std::mt19937 random(3);
  check_chain({{ChainOperand::each, ChainOperand::channel}, {{F::add, 0, 1}, {F::relu, 2}}}, {2, 5, 11, 13}, random);
  check_chain({{ChainOperand::each, ChainOperand::one}, {{F::multiply, 0, 1}}}, {3000}, random);
}

TEST_CASE("cuda chains: what does not fit is refused, with a reason") {
  Chain longer{{ChainOperand::each}, {}};
  for (int l = 0; l < 33; ++l) longer.links.push_back({F::relu, l});
  CHECK(elementwise_functions().refuse_chain(longer) == "wanted a chain of at most 32 links, got 33");
  longer.links.pop_back();
  CHECK(elementwise_functions().refuse_chain(longer) == "");

  Chain keeps{{ChainOperand::each}, {}};  // 13 results, all of which the end reads
  for (int l = 0; l < 13; ++l) keeps.links.push_back({F::exp, 0});
  for (int l = 0; l < 13; ++l) keeps.links.push_back({F::add, 13 + l, 1 + l});
  CHECK(contains(elementwise_functions().refuse_chain(keeps), "keeps at most 12 values"));
  EmulatedDevice device;
  device.queue().node = "[elementwise_chain 'c' main.cpp:3]";
  const std::vector<const float*> none = {nullptr};
  CHECK(contains(message_of([&] { elementwise_functions().chain(device.queue(), keeps, none, {4}, nullptr); }),
                 "[elementwise_chain 'c' main.cpp:3] wanted a chain that keeps"));
}

// ---- Single ops.

template <class Reference>
void check_unary(const Floats& x, const Reference& reference, void (*run)(cuda::Queue&, Index, const float*, float*)) {
  Floats wanted;
  for (const float value : x) wanted.push_back(reference(value));
  check_same(in_all_orders([&](EmulatedDevice& device) {
               float* const y = device.allocate<float>(size_of(x));
               run(device.queue(), size_of(x), device.put(x), y);
               return device.get(y, size_of(x));
             }),
             wanted);
}

TEST_CASE("cuda unary ops: power has its short forms, affine without a shift keeps the sign of a zero") {
  std::mt19937 random(4);
  const Floats x = special_floats(random, 37);
  check_unary(
      x, [](float v) { return v * v; },
      [](cuda::Queue& queue, Index n, const float* in, float* out) { elementwise_functions().power(queue, 2.0, n, in, out); });
  check_unary(
      x, [](float v) { return 1.0f / v; },
      [](cuda::Queue& queue, Index n, const float* in, float* out) { elementwise_functions().power(queue, -1.0, n, in, out); });
  check_unary(
      x, [](float v) { return std::pow(v, 2.5f); },
      [](cuda::Queue& queue, Index n, const float* in, float* out) { elementwise_functions().power(queue, 2.5, n, in, out); });
  check_unary(
      x, [](float v) { return v <= 0.0f ? 0.0f : v; },
      [](cuda::Queue& queue, Index n, const float* in, float* out) {
        elementwise_functions().unary(queue, Elementwise::relu, n, in, out);
      });
  check_unary(
      x, [](float v) { return -2.0f * v + 0.5f; },
      [](cuda::Queue& queue, Index n, const float* in, float* out) { elementwise_functions().affine(queue, -2.0, 0.5, n, in, out); });

  EmulatedDevice device;
  float* const zero = device.put(Floats{0.0f});
  elementwise_functions().affine(device.queue(), -1.0, 0.0, 1, zero, zero);
  CHECK(std::signbit(device.get(zero, 1)[0]));
}

template <class Reference>
void check_binary(Elementwise function, Shape a_shape, Shape b_shape, std::mt19937& random, const Reference& reference) {
  const Shape shape = broadcast_shapes(a_shape, b_shape);
  CAPTURE(shape.text());
  Floats a = special_floats(random, a_shape.elements()), b = special_floats(random, b_shape.elements());
  Floats wanted(static_cast<std::size_t>(shape.elements()));
  broadcast_binary<float>({a.data(), a_shape}, {b.data(), b_shape}, {wanted.data(), shape}, reference);
  check_same(in_all_orders([&](EmulatedDevice& device) {
               float* const y = device.allocate<float>(shape.elements());
               elementwise_functions().binary(device.queue(), function, device.put(a), a_shape, device.put(b), b_shape, y, shape);
               return device.get(y, shape.elements());
             }),
             wanted);
}

TEST_CASE("cuda binary ops broadcast as NumPy does, up to 8 axes") {
  std::mt19937 random(5);
  const std::pair<Shape, Shape> shapes[] = {{{9, 3}, {9, 3}},
                                            {{9, 3, 2, 5}, {3, 1, 1}},
                                            {{1, 5}, {4, 1}},
                                            {{}, {3, 7}},
                                            {{2, 3}, {}},
                                            {{0, 3}, {3}},
                                            {{}, {1}},
                                            {{2, 1, 3, 1, 2, 1, 3, 1}, {1, 3, 1, 2, 1, 2, 1, 2}},
                                            {{3, 1, 1}, {2, 3, 4, 5}},
                                            {{17, 1}, {17, 19}},
                                            {{1, 1, 40}, {5, 3, 1}}};
  for (const auto& [a, b] : shapes) {
    check_binary(Elementwise::subtract, a, b, random, [](float x, float y) { return x - y; });
    check_binary(Elementwise::maximum, a, b, random, [](float x, float y) { return x >= y || std::isnan(x) ? x : y; });
    check_binary(Elementwise::greater_equal, a, b, random, [](float x, float y) { return x >= y ? 1.0f : 0.0f; });
  }
}

}  // namespace
