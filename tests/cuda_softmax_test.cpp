// CUDA's softmax kernels in the emulator against the naive ones, a warp and a block a row, in every order of threads.
#include <wengert/backends/cuda/kernels/softmax.hpp>
#include <wengert/backends/naive/softmax.hpp>

#include "cuda_kernels.hpp"

namespace {

using namespace wengert;
using namespace wengert::test;
using cuda::SoftmaxFunctions;
using cuda::emulated::softmax_functions;

constexpr double tolerance = 2e-6;

struct Size {
  Index rows, classes;
};
const Size sizes[] = {{9, 10}, {1, 1}, {3, 21}, {5, 33}, {0, 4}, {17, 2}, {3, 300}, {2, 1500}};

template <class Naive, class Function>
void check_rows(Size size, const Floats& values, const Naive& reference, Function function) {
  const Shape shape{size.rows, size.classes};
  Floats x = values, wanted(x.size());
  reference(View{x.data(), shape}, View{wanted.data(), shape});
  check_same(in_all_orders([&](EmulatedDevice& device) {
               float* const y = device.allocate<float>(size_of(x));
               (softmax_functions().*function)(device.queue(), size.rows, size.classes, device.put(x), y);
               return device.get(y, size_of(x));
             }),
             wanted, tolerance);
}

TEST_CASE("cuda softmax and log_softmax, of large logits and of what is not finite too") {
  std::mt19937 random(1);
  for (const Size size : sizes) {
    CAPTURE(size.rows);
    CAPTURE(size.classes);
    for (const Floats& x : {random_floats(random, size.rows * size.classes, -5, 5),
                            random_floats(random, size.rows * size.classes, -1e4, 1e4), special_floats(random, size.rows * size.classes)}) {
      check_rows(size, x, naive::softmax, &SoftmaxFunctions::softmax);
      check_rows(size, x, naive::log_softmax, &SoftmaxFunctions::log_softmax);
    }
  }
  check_rows({2, 3}, {-infinity, -infinity, -infinity, -infinity, 0, -infinity}, naive::softmax, &SoftmaxFunctions::softmax);
}

using Two = std::tuple<Floats, Floats>;

// Losses and probabilities; labels i32 (rows) or f32 (rows, classes).
template <class Label>
Two naive_cross_entropy(Size size, Floats x, std::vector<Label> labels) {
  const Shape shape{size.rows, size.classes};
  Floats losses(static_cast<std::size_t>(size.rows)), p(x.size());
  const Shape label_shape = dtype_of<Label>() == DType::i32 ? Shape{size.rows} : shape;
  naive::softmax_cross_entropy({x.data(), shape}, {labels.data(), label_shape, dtype_of<Label>()}, {losses.data(), Shape{size.rows}},
                               {p.data(), shape}, 0);
  return {losses, p};
}

template <class Label, class Function>
Two cuda_cross_entropy(Size size, const Floats& x, const std::vector<Label>& labels, Function function) {
  return in_all_orders([&](EmulatedDevice& device) -> Two {
    float *const losses = device.allocate<float>(size.rows), *const p = device.allocate<float>(size_of(x));
    function(device.queue(), size.rows, size.classes, device.put(x), device.put(labels), losses, p);
    return {device.get(losses, size.rows), device.get(p, size_of(x))};
  });
}

TEST_CASE("cuda cross-entropy of classes and of probabilities") {
  std::mt19937 random(2);
  for (const Size size : sizes) {
    CAPTURE(size.rows);
    CAPTURE(size.classes);
    for (const double large : {4.0, 1e4}) {
      const Floats x = random_floats(random, size.rows * size.classes, -large, large);
      const Integers classes = random_integers(random, size.rows, 0, static_cast<int>(size.classes) - 1);
      const auto [losses, p] = naive_cross_entropy(size, x, classes);
      const auto [got_losses, got_p] = cuda_cross_entropy(size, x, classes, softmax_functions().cross_entropy);
      check_same(got_losses, losses, tolerance);
      check_same(got_p, p, tolerance);

      Floats soft = random_floats(random, size_of(x), 0, 1.0 / static_cast<double>(size.classes));
      for (std::size_t i = 0; i < soft.size(); i += 2) soft[i] = 0;
      const auto [soft_losses, soft_p] = naive_cross_entropy(size, x, soft);
      const auto [got_soft_losses, got_soft_p] = cuda_cross_entropy(size, x, soft, softmax_functions().soft_cross_entropy);
      check_same(got_soft_losses, soft_losses, 1e-5);
      check_same(got_soft_p, soft_p, tolerance);
    }
  }
}

TEST_CASE("cuda cross-entropy with its gradient: (softmax - one hot) dloss") {
  std::mt19937 random(3);
  for (const Size size : sizes) {
    CAPTURE(size.rows);
    CAPTURE(size.classes);
    const Floats x = random_floats(random, size.rows * size.classes, -4, 4), dloss = random_floats(random, size.rows);
    const Integers classes = random_integers(random, size.rows, 0, static_cast<int>(size.classes) - 1);
    const auto [losses, p] = naive_cross_entropy(size, x, classes);
    Floats gradient = p;
    for (Index n = 0; n < size.rows; ++n) {
      for (Index c = 0; c < size.classes; ++c) {
        float& value = gradient[static_cast<std::size_t>(n * size.classes + c)];
        const auto row = static_cast<std::size_t>(n);
        value = (value - (c == classes[row] ? 1.0f : 0.0f)) * dloss[row];
      }
    }
    const auto [got_losses, got] = in_all_orders([&](EmulatedDevice& device) -> Two {
      float *const out = device.allocate<float>(size.rows), *const dx = device.allocate<float>(size_of(x));
      softmax_functions().cross_entropy_gradient(device.queue(), size.rows, size.classes, device.put(x), device.put(classes),
                                                 device.put(dloss), out, dx);
      return {device.get(out, size.rows), device.get(dx, size_of(x))};
    });
    check_same(got_losses, losses, tolerance);
    check_same(got, gradient, tolerance);
  }
}

TEST_CASE("cuda cross-entropy: a label outside the classes makes its row NaN, and no other") {
  const Floats x = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  const auto [losses, p] = cuda_cross_entropy({3, 3}, x, Integers{3, 1, -1}, softmax_functions().cross_entropy);
  CHECK(std::isnan(losses[0]));
  CHECK(std::isfinite(losses[1]));
  CHECK(std::isnan(losses[2]));
  CHECK(std::isfinite(p[0]));
}

}  // namespace
