// Every CUDA convolution in the emulator, against the naive kernels of the CPU. Values are small integers, so that all must be exact whatever
// their order of summation; a few cases on fractions show that this order does not depend on that of blocks and threads.
#include <algorithm>
#include <string>

#include <wengert/backends/cuda/kernels/conv_functions.hpp>
#include <wengert/backends/naive/conv.hpp>
#include <wengert/backends/naive/pool.hpp>
#include <wengert/ops/conv.hpp>
#include <wengert/ops/pool_options.hpp>

#include "cuda_kernels.hpp"
#include "ops_support.hpp"

namespace wengert::test {
namespace {

using cuda::ConvElements;
using cuda::ConvFunctions;
using cuda::Queue;

const ConvFunctions functions = cuda::emulated::conv_functions();

struct Case {
  Shape x, w;
  Conv2dOptions options = {};
};

// Geometries with every attribute, odd and unit sizes, every unrolled width and number of filters a thread, several tiles of everything.
const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {{1, 1, 4, 4}, {1, 1, 3, 3}},
      {{5, 2, 6, 7}, {3, 2, 3, 2}},
      {{5, 3, 7, 5}, {4, 3, 3, 3}, {1, 1, Padding2d::same()}},
      {{2, 2, 4, 3}, {2, 2, 3, 2}, {1, 1, Padding2d::full()}},
      {{3, 4, 9, 8}, {6, 2, 3, 3}, {{2, 3}, 1, Padding2d::sides(1, 0, 2, 1), 2}},
      {{3, 3, 9, 11}, {3, 1, 2, 3}, {{1, 2}, {2, 1}, Padding2d::sides(0, 2, 1, 0), 3}},
      {{2, 2, 7, 7}, {2, 2, 1, 1}, {{3, 2}}},
      {{3, 5, 4, 6}, {9, 5, 1, 1}},
      {{6, 2, 3, 3}, {4, 2, 3, 3}},
      {{2, 1, 5, 5}, {2, 1, 2, 2}, {4, 1, Padding2d::sides(0, 0, 3, 3)}},
      {{0, 2, 4, 4}, {3, 2, 3, 3}},
      {{2, 1, 28, 28}, {8, 1, 5, 5}},
      {{1, 8, 24, 24}, {8, 8, 5, 5}},
      {{2, 6, 8, 9}, {6, 1, 3, 3}, {1, 1, Padding2d::same(), 6}},
      {{2, 6, 8, 9}, {12, 1, 5, 3}, {2, {1, 2}, Padding2d::sides(3, 1, 2, 4), 6}},
      {{1, 3, 17, 40}, {5, 3, 3, 3}, {1, 3, Padding2d::same()}},
      {{1, 2, 6, 90}, {9, 2, 1, 5}, {1, 1, Padding2d::sides(0, 0, 1, 3)}},
      {{2, 20, 5, 6}, {40, 20, 3, 3}, {1, 1, Padding2d::same()}},
      {{1, 1, 20, 20}, {2, 1, 18, 17}},
      {{1, 2, 9, 6}, {2, 2, 2, 2}, {{5, 3}, {6, 1}}},
      {{1, 1, 3, 3}, {2, 1, 3, 3}, {1, 1, Padding2d::sides(7, 9, 8, 6)}},
      {{9, 40, 4, 4}, {40, 1, 3, 3}, {1, 1, Padding2d::same(), 40}},  // several units a chunk of the weight gradient
  };
  return all;
}

Shape y_shape(const ConvGeometry& g, Index n) { return {n, g.filters, g.out_height, g.out_width}; }

View view_of(const Floats& values, const Shape& shape) { return {const_cast<float*>(values.data()), shape, DType::f32}; }

Floats small_integers(std::mt19937& random, Index count) {
  Floats values;
  for (const std::int32_t value : random_integers(random, count, -3, 3)) values.push_back(static_cast<float>(value));
  return values;
}

// Operands and what the naive kernels make of them.
struct Problem {
  Problem(const Case& of, Floats (*fill)(std::mt19937&, Index)) : g(resolve(of.options, of.x, of.w)), n(of.x[0]), count(g, n) {
    std::mt19937 random(7);
    x = fill(random, count.x), w = fill(random, count.w), y = fill(random, count.y);
    bias = fill(random, g.filters), gate = fill(random, count.x);
    x_result = Floats(x.size()), w_result = Floats(w.size()), y_result = Floats(y.size()), sums = Floats(bias.size());
    const View x_view = view_of(x, of.x), w_view = view_of(w, of.w), y_view = view_of(y, y_shape(g, n));
    naive::conv2d(g, x_view, w_view, view_of(y_result, y_shape(g, n)));
    naive::conv2d_data(g, y_view, w_view, view_of(x_result, of.x));
    naive::conv2d_weight(g, x_view, y_view, view_of(w_result, of.w));
    const Index pixels = g.out_height * g.out_width;
    for (std::size_t i = 0; i < y.size(); ++i) sums[i / static_cast<std::size_t>(pixels) % bias.size()] += y[i];
  }

  ConvGeometry g;
  Index n;
  ConvElements count;
  Floats x, w, y, bias, gate, x_result, w_result, y_result, sums;
};

Floats run_on(EmulatedDevice& device, const cuda::ConvDirection& direction, const Problem& problem, const Floats& first,
              const Floats& second, Index results) {
  float* const result = device.allocate<float>(results);
  void* const workspace = device.runtime().allocate(direction.workspace_bytes(problem.g, problem.n));
  direction.run(device.queue(), problem.g, problem.n, device.put(first), device.put(second), result, workspace);
  return device.get(result, results);
}

Floats run_once(const cuda::ConvDirection& direction, const Problem& problem, const Floats& first, const Floats& second, Index results) {
  EmulatedDevice device;
  return run_on(device, direction, problem, first, second, results);
}

Floats run(const cuda::ConvDirection& direction, const Problem& problem, const Floats& first, const Floats& second, Index results) {
  REQUIRE(direction.refuse(problem.g, problem.n) == "");
  return in_all_orders([&](EmulatedDevice& device) { return run_on(device, direction, problem, first, second, results); });
}

void check_rung(const std::string& name, const cuda::ConvRung& rung, const Case& of, double tolerance,
                Floats (*fill)(std::mt19937&, Index)) {
  const Problem p(of, fill);
  CAPTURE(name);
  CAPTURE(p.n);
  CAPTURE(p.g.describe());
  check_same(run(rung.forward, p, p.x, p.w, p.count.y), p.y_result, tolerance);
  check_same(run(rung.data, p, p.y, p.w, p.count.x), p.x_result, tolerance);
  check_same(run(rung.weight, p, p.x, p.y, p.count.w), p.w_result, tolerance);
}

void check_rungs(const Case& of, double tolerance, Floats (*fill)(std::mt19937&, Index)) {
  check_rung("plain", functions.plain, of, tolerance, fill);
  check_rung("tiled", functions.tiled, of, tolerance, fill);
  check_rung("im2col", functions.im2col, of, tolerance, fill);
}

float relu(float value) { return value <= 0.0f ? 0.0f : value; }

Floats fused(const Problem& p, bool bias, bool relu_too) {
  Floats values = p.y_result;
  const auto pixels = static_cast<std::size_t>(p.g.out_height * p.g.out_width);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (bias) values[i] += p.bias[i / pixels % p.bias.size()];
    if (relu_too) values[i] = relu(values[i]);
  }
  return values;
}

using Pooled = std::tuple<Floats, Integers>;

Pooled pooled(const Problem& p, const PoolGeometry& pool, Floats dense, bool relu_too) {
  const Shape shape{p.n, p.g.filters, pool.out_height, pool.out_width};
  Floats values(static_cast<std::size_t>(shape.elements()));
  Integers positions(values.size());
  naive::max_pool2d(pool, view_of(dense, y_shape(p.g, p.n)), view_of(values, shape), {positions.data(), shape, DType::i32});
  if (relu_too) std::transform(values.begin(), values.end(), values.begin(), relu);
  return {values, positions};
}

Pooled run_pool(const Problem& p, const PoolGeometry& pool, bool bias, bool relu_too) {
  return in_all_orders([&](EmulatedDevice& device) {
    const Index outputs = p.n * p.g.filters * pool.out_height * pool.out_width;
    float* const y = device.allocate<float>(outputs);
    auto* const positions = device.allocate<std::int32_t>(outputs);
    functions.fused.forward_pool(device.queue(), p.g, pool, p.n, device.put(p.x), device.put(p.w),
                                 {bias ? device.put(p.bias) : nullptr, relu_too}, y, positions);
    return Pooled{device.get(y, outputs), device.get(positions, outputs)};
  });
}

PoolGeometry pool_of(const Problem& p, const Pool2dOptions& options) { return resolve(options, y_shape(p.g, p.n)); }

TEST_CASE("CUDA convolutions equal the naive ones exactly on integers") {
  for (const Case& of : cases()) check_rungs(of, 0, small_integers);
}

// A geometry of small sizes, or none where the filter does not fit.
std::vector<Case> random_case(std::mt19937& random) {
  const auto pick = [&](Index low, Index high) { return std::uniform_int_distribution<Index>(low, high)(random); };
  const Index groups = pick(0, 2) == 0 ? pick(2, 3) : 1;
  const Index channels = groups * pick(1, 9), filters = groups * pick(1, 10);
  const Index height = pick(1, 13), width = pick(1, 24), kernel_height = pick(1, 5), kernel_width = pick(1, 5);
  const auto mostly_one = [&](Index high) { return pick(0, 2) > 0 ? Index{1} : pick(1, high); };
  Conv2dOptions options{{mostly_one(4), mostly_one(4)},
                        {mostly_one(3), mostly_one(3)},
                        Padding2d::sides(pick(0, 3), pick(0, 3), pick(0, 3), pick(0, 3)),
                        groups};
  const Padding2d& p = options.padding;
  if ((kernel_height - 1) * options.dilation.height >= height + p.top + p.bottom) return {};
  if ((kernel_width - 1) * options.dilation.width >= width + p.left + p.right) return {};
  return {{{pick(1, 5), channels, height, width}, {filters, channels / groups, kernel_height, kernel_width}, options}};
}

TEST_CASE("CUDA convolutions of random geometries") {
  std::mt19937 random(1);
  for (int i = 0; i < 40; ++i) {
    for (const Case& of : random_case(random)) {
      const Problem p(of, small_integers);
      CAPTURE(i);
      CAPTURE(p.n);
      CAPTURE(p.g.describe());
      for (const cuda::ConvRung* rung : {&functions.plain, &functions.tiled, &functions.im2col}) {
        check_same(run_once(rung->forward, p, p.x, p.w, p.count.y), p.y_result);
        check_same(run_once(rung->data, p, p.y, p.w, p.count.x), p.x_result);
        check_same(run_once(rung->weight, p, p.x, p.y, p.count.w), p.w_result);
      }
    }
  }
}

TEST_CASE("CUDA convolutions of fractions have the same bits in all orders") {
  const auto fill = [](std::mt19937& random, Index count) { return random_floats(random, count); };
  check_rungs({{5, 3, 7, 5}, {4, 3, 3, 3}, {1, 1, Padding2d::same()}}, 1e-5, fill);
  check_rungs({{2, 8, 12, 12}, {8, 8, 5, 5}}, 1e-4, fill);
  check_rungs({{3, 4, 9, 8}, {6, 2, 3, 3}, {{2, 3}, 1, Padding2d::sides(1, 0, 2, 1), 2}}, 1e-5, fill);
}

TEST_CASE("images in several chunks of patches") {
  const Problem p({{4, 8, 200, 200}, {1, 8, 3, 3}}, small_integers);
  CHECK(functions.im2col.forward.workspace_bytes(p.g, p.n) < 9 * p.n * p.g.channels * p.g.out_height * p.g.out_width * 4);
  check_same(run_once(functions.im2col.forward, p, p.x, p.w, p.count.y), p.y_result);
  check_same(run_once(functions.im2col.data, p, p.y, p.w, p.count.x), p.x_result);
  check_same(run_once(functions.im2col.weight, p, p.x, p.y, p.count.w), p.w_result);
}

TEST_CASE("eight filters a thread, which only many images would get") {
  using namespace cuda::emulated;
  const auto planes = [](float* x, const Problem& p) {
    return Planes{{x, p.count.x}, static_cast<int>(p.g.height), static_cast<int>(p.g.width)};
  };
  for (const Index width : {5, 3, 4}) {
    const Problem p({{2, 3, 9, 10}, {16, 3, 2, width}}, small_integers);
    std::string refusal;
    check_same(in_all_orders([&](EmulatedDevice& device) {
                 float* const y = device.allocate<float>(p.count.y);
                 const cuda::ConvPass pass = cuda::forward_pass(p.g, p.n);
                 launch_conv<1, 1>(device.queue(), "eight", pass, cuda::tile_conv(pass, 1, 8, refusal), planes(device.put(p.x), p),
                                   {device.put(p.w), p.count.w}, ConvStore{{y, p.count.y}, {}, {}});
                 return device.get(y, p.count.y);
               }),
               p.y_result);
    const PoolGeometry pool = pool_of(p, {.window = 2});
    const auto [values, positions] = pooled(p, pool, p.y_result, false);
    const auto height = static_cast<int>(pool.out_height), columns = static_cast<int>(pool.out_width);
    const Index count = size_of(values);
    const auto [got, got_positions] = in_all_orders([&](EmulatedDevice& device) {
      float* const y = device.allocate<float>(count);
      auto* const at = device.allocate<std::int32_t>(count);
      const cuda::ConvPass pass = cuda::pooled_pass(p.g, pool, p.n);
      launch_conv<2, 4>(device.queue(), "eight", pass, cuda::tile_conv(pass, 2, 8, refusal), planes(device.put(p.x), p),
                        {device.put(p.w), p.count.w}, ConvMaxPool{{y, count}, {at, count}, {}, false, 2, 2, height, columns});
      return Pooled{device.get(y, count), device.get(at, count)};
    });
    check_same(got, values);
    check_same(got_positions, positions);
    CHECK(refusal == "");
  }
}

TEST_CASE("bias, ReLU, gate and sums beside a convolution") {
  for (const Case& of : cases()) {
    const Problem p(of, small_integers);
    CAPTURE(p.n);
    CAPTURE(p.g.describe());
    for (const auto& [with_bias, with_relu] : {std::pair(true, false), std::pair(false, true), std::pair(true, true)}) {
      const bool bias = with_bias, relu_too = with_relu;
      check_same(in_all_orders([&](EmulatedDevice& device) {
                   float* const y = device.allocate<float>(p.count.y);
                   functions.fused.forward(device.queue(), p.g, p.n, device.put(p.x), device.put(p.w),
                                           {bias ? device.put(p.bias) : nullptr, relu_too}, y);
                   return device.get(y, p.count.y);
                 }),
                 fused(p, bias, relu_too));
    }
    Floats gated = p.x_result;
    for (std::size_t i = 0; i < gated.size(); ++i) gated[i] = p.gate[i] <= 0.0f ? 0.0f : gated[i];
    check_same(in_all_orders([&](EmulatedDevice& device) {
                 float* const x = device.allocate<float>(p.count.x);
                 functions.fused.data_gate(device.queue(), p.g, p.n, device.put(p.y), device.put(p.w), device.put(p.gate), x);
                 return device.get(x, p.count.x);
               }),
               gated);
    const auto [w, sums] = in_all_orders([&](EmulatedDevice& device) {
      float *const w_memory = device.allocate<float>(p.count.w), *const sums_memory = device.allocate<float>(p.g.filters);
      void* const workspace = device.runtime().allocate(functions.tiled.weight.workspace_bytes(p.g, p.n));
      functions.fused.weight_bias(device.queue(), p.g, p.n, device.put(p.x), device.put(p.y), w_memory, sums_memory, workspace);
      return std::tuple(device.get(w_memory, p.count.w), device.get(sums_memory, p.g.filters));
    });
    check_same(w, p.w_result);
    check_same(sums, p.sums);
  }
}

TEST_CASE("a max pool within the convolution's threads") {
  for (const Case& of : cases()) {
    const Problem p(of, small_integers);
    CAPTURE(p.n);
    CAPTURE(p.g.describe());
    for (const Extent2d window : {Extent2d(2), Extent2d(1, 2), Extent2d(2, 1)}) {
      if (window.height > p.g.out_height || window.width > p.g.out_width) continue;
      const PoolGeometry pool = pool_of(p, {.window = window});
      CAPTURE(pool.describe());
      REQUIRE(functions.fused.refuse_pool(p.g, pool, p.n) == "");
      for (const auto& [bias, relu_too] : {std::pair(false, false), std::pair(true, true)}) {
        const auto [values, positions] = run_pool(p, pool, bias, relu_too);
        const auto [wanted_values, wanted_positions] = pooled(p, pool, fused(p, bias, false), relu_too);
        check_same(values, wanted_values);
        check_same(positions, wanted_positions);
      }
    }
  }
}

TEST_CASE("NaN and infinities pass through the ReLU and the pool") {
  Problem p({{1, 1, 8, 8}, {2, 1, 1, 1}}, small_integers);
  std::mt19937 random(3);
  p.x = special_floats(random, p.count.x);
  p.w = {1.0f, 1.0f};
  naive::conv2d(p.g, view_of(p.x, {1, 1, 8, 8}), view_of(p.w, {2, 1, 1, 1}), view_of(p.y_result, y_shape(p.g, p.n)));
  check_same(in_all_orders([&](EmulatedDevice& device) {
               float* const y = device.allocate<float>(p.count.y);
               functions.fused.forward(device.queue(), p.g, p.n, device.put(p.x), device.put(p.w), {nullptr, true}, y);
               return device.get(y, p.count.y);
             }),
             fused(p, false, true));
  const PoolGeometry pool = pool_of(p, {.window = 2});
  const auto [values, positions] = run_pool(p, pool, false, true);
  const auto [wanted_values, wanted_positions] = pooled(p, pool, fused(p, false, false), true);
  check_same(values, wanted_values);
  check_same(positions, wanted_positions);
}

TEST_CASE("what the rungs refuse, they say why") {
  const Problem p({{1, 1, 40, 40}, {1, 1, 2, 2}, {5}}, small_integers);
  CHECK(contains(functions.tiled.data.refuse(p.g, p.n), "wanted a stride of at most 16 pixels, got 1x40x40"));
  EmulatedDevice device;
  device.queue().node = "[conv2d 'c' main.cpp:3]";
  CHECK(contains(message_of([&] { functions.tiled.data.run(device.queue(), p.g, p.n, nullptr, nullptr, nullptr, nullptr); }),
                 "[conv2d 'c' main.cpp:3] wanted a stride"));
  const ConvGeometry wide = resolve({}, {1, 1, 300, 300}, {4, 1, 200, 200});
  CHECK(contains(functions.tiled.forward.refuse(wide, 1), "wanted a tile of one channel in 49152 bytes, got "));
  CHECK(contains(functions.tiled.weight.refuse(wide, 1), "wanted a pixel and its taps in 49152 bytes, got "));
  CHECK(functions.plain.forward.refuse(wide, 1) == "");
  CHECK(contains(functions.plain.forward.refuse(wide, 100000),
                 "wanted operands of at most 2^31 - 1 elements, got 100000 images of 1x300x300"));
  const PoolGeometry overlapping = resolve(Pool2dOptions{.window = 3, .stride = 2}, y_shape(p.g, p.n));
  CHECK(contains(functions.fused.refuse_pool(p.g, overlapping, 1), "wanted a pool without padding whose window is its stride"));
  const PoolGeometry large = resolve(Pool2dOptions{.window = 3}, y_shape(p.g, p.n));
  CHECK(contains(functions.fused.refuse_pool(p.g, large, 1), "wanted a window of 2 x 2, 1 x 2 or 2 x 1, got "));
}

}  // namespace
}  // namespace wengert::test
