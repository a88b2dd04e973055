// Predictors: several threads at once, each with a plan of its own for one model that they share.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include <wengert/models/dataset.hpp>
#include <wengert/models/mnist_cnn.hpp>
#include <wengert/models/predictor.hpp>

#include "plan_support.hpp"

using namespace wengert;

namespace {

void fill(Predictor& predictor, const Tensor& images) { std::ranges::copy(images.values<float>(), predictor.images().write<float>()); }

std::vector<float> logits_of(Predictor& predictor, const Tensor& images) {
  fill(predictor, images);
  const View logits = predictor.run();
  return {logits.read<float>(), logits.read<float>() + logits.elements()};
}

}  // namespace

TEST_CASE("several threads predict at once, each by a Predictor of its own, with the bits of one alone") {
  const Model model(MnistCnn{true}, {1, 28, 28});
  constexpr Index batch = 8, batches = 4;
  std::vector<Tensor> images;
  std::vector<std::vector<float>> wanted;
  Predictor alone(model, batch);
  for (Index b = 0; b < batches; ++b) {
    images.push_back(test::random_like({{batch, 1, 28, 28}, DType::f32}, "images " + std::to_string(b)));
    wanted.push_back(logits_of(alone, images.back()));
  }
  CHECK(wanted[0] != wanted[1]);

  constexpr int threads = 4;
  std::atomic<int> ready{0}, equal{0};
  std::vector<std::thread> crew;
  for (int t = 0; t < threads; ++t) {
    crew.emplace_back([&, t] {
      Predictor own(model, batch);  // made at once too
      for (++ready; ready < threads;) std::this_thread::yield();
      for (Index b = 0; b < batches; ++b) {  // each begins elsewhere, so that they run on different images
        const auto at = static_cast<std::size_t>((b + t) % batches);
        equal += logits_of(own, images[at]) == wanted[at] ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : crew) thread.join();
  CHECK(equal == threads * batches);
}
