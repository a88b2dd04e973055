// What a training step on a CUDA device needs beside its layers, in the emulator: dropout's masks, updates, batches and metrics.
#include <algorithm>

#include <wengert/backends/cuda/kernels/data.hpp>
#include <wengert/backends/cuda/kernels/dropout.hpp>
#include <wengert/backends/cuda/kernels/guard.hpp>
#include <wengert/backends/cuda/kernels/metrics.hpp>
#include <wengert/backends/cuda/kernels/optimiser.hpp>
#include <wengert/engine/random.hpp>

#include "cuda_kernels.hpp"
#include "ops_support.hpp"

namespace {

using namespace wengert;
using namespace wengert::test;
using cuda::Queue;
namespace emulated = cuda::emulated;

// ---- Dropout.

Floats cuda_dropout(const cuda::DropoutDraw& draw, std::int32_t step, Index first, const Floats& x) {
  return in_all_orders([&](EmulatedDevice& device) {
    float* const y = device.allocate<float>(size_of(x));
    emulated::dropout_functions().dropout(device.queue(), draw, device.put(Integers{step}), first, size_of(x), device.put(x), y);
    return device.get(y, size_of(x));
  });
}

TEST_CASE("cuda dropout draws the masks of the CPU, from any element on") {
  std::mt19937 random(1);
  for (const double rate : {0.0, 0.1, 0.25, 0.5, 1.0 / 3, 0.999999}) {
    for (const Index first : {Index{0}, Index{1}, Index{6}, Index{4095}, (Index{1} << 34) - 70}) {
      const cuda::DropoutDraw draw{rate, 0x123456789abcdefu, hash_name("dropout1")};
      const Floats x = random_floats(random, 61);
      Floats wanted(x.size());
      fill_bernoulli(RandomStream{draw.seed, draw.stream, 77}, std::span<float>(wanted), 1.0 - rate, first);
      const float scale = static_cast<float>(1.0 / (1.0 - rate));
      for (std::size_t i = 0; i < x.size(); ++i) wanted[i] = wanted[i] == 0.0f ? 0.0f : x[i] * scale;
      check_same(cuda_dropout(draw, 77, first, x), wanted);
    }
  }
  check_same(cuda_dropout({0.5, 1, 2}, 3, 5, {}), {});
  EmulatedDevice device;
  CHECK(contains(
      message_of([&] { emulated::dropout_functions().dropout(device.queue(), {}, nullptr, (Index{1} << 34) - 3, 4, nullptr, nullptr); }),
      "wanted elements in [0, 2^34), got 4 from 17179869181"));
}

TEST_CASE("cuda dropout: an element stays below the probability, to the last bit") {
  using emulated::limit_of;
  const auto stays = [](std::uint32_t n, double p) { return static_cast<double>(n) * 0x1p-24 < p; };
  for (const double p : {0.5, 1.0, 0.75 + 0x1p-24, 0.75 + 0x1p-30, 1.0 - 1.0 / 3, 0x1p-40}) {
    const std::uint32_t limit = limit_of(p);
    if (limit > 0) CHECK(stays(limit - 1, p));
    CHECK(!stays(limit, p));
  }
}

// ---- Updates.

struct Tensors {
  Floats p, m, v, gradient;
};

// One each: empty, of one block, of several, not a multiple of four, and more of them than fit in a launch.
std::vector<Tensors> parameters(std::mt19937& random) {
  std::vector<Tensors> all;
  for (int i = 0; i < 45; ++i) {
    const Index size = i == 0 ? 0 : i == 1 ? 2500 : i == 2 ? 1024 : 1 + i % 9;
    all.push_back(
        {random_floats(random, size), random_floats(random, size), random_floats(random, size, 0, 1), random_floats(random, size)});
  }
  return all;
}

constexpr float rate = 0.01f, correction1 = 0.3f, correction2 = 0.05f;
const cuda::AdamStep adam_step{0.95, 0.99, 1e-8, 0.01};
const cuda::SgdStep sgd_step{0.9, 0.01};

// As ops/optimiser.cpp has it.
void plain_adam(Tensors& t) {
  const float beta1 = 0.95f, beta2 = 0.99f, rest1 = static_cast<float>(1.0 - 0.95), rest2 = static_cast<float>(1.0 - 0.99), epsilon = 1e-8f;
  const float step = rate / correction1, root = 1.0f / std::sqrt(correction2), decay = rate * 0.01f;
  for (std::size_t i = 0; i < t.p.size(); ++i) {
    const float first = beta1 * t.m[i] + rest1 * t.gradient[i], second = beta2 * t.v[i] + rest2 * (t.gradient[i] * t.gradient[i]);
    t.m[i] = first;
    t.v[i] = second;
    t.p[i] = t.p[i] - decay * t.p[i] - step * first / (std::sqrt(second) * root + epsilon);
  }
}
void plain_sgd(Tensors& t) {
  for (std::size_t i = 0; i < t.p.size(); ++i) {
    t.m[i] = 0.9f * t.m[i] + (t.gradient[i] + 0.01f * t.p[i]);
    t.p[i] = t.p[i] - rate * t.m[i];
  }
}

// p, m and v of all parameters one behind the other.
Floats all_values(const std::vector<Tensors>& all) {
  Floats values;
  for (const Tensors& t : all) {
    for (const Floats* part : {&t.p, &t.m, &t.v}) values.insert(values.end(), part->begin(), part->end());
  }
  return values;
}

struct OnDevice {
  float *p, *m, *v;
};

// update(device, tensors, where they lie), then what lies there.
template <class Update>
Floats updated(EmulatedDevice& device, const std::vector<Tensors>& all, const Update& update) {
  std::vector<OnDevice> places;
  for (const Tensors& t : all) places.push_back({device.put(t.p), device.put(t.m), device.put(t.v)});
  update(places);
  std::vector<Tensors> result;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Index n = size_of(all[i].p);
    result.push_back({device.get(places[i].p, n), device.get(places[i].m, n), device.get(places[i].v, n), {}});
  }
  return all_values(result);
}

Floats cuda_adam(EmulatedDevice& device, const std::vector<Tensors>& all) {
  return updated(device, all, [&](const std::vector<OnDevice>& places) {
    cuda::AdamStep step = adam_step;
    step.correction1 = device.put(Floats{correction1}), step.correction2 = device.put(Floats{correction2});
    const float* const by = device.put(Floats{rate});
    std::vector<cuda::AdamTensor> tensors;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto& [p, m, v] = places[i];
      tensors.push_back({p, m, v, device.put(all[i].gradient), by, p, m, v, size_of(all[i].p)});
    }
    emulated::optimiser_functions().adam(device.queue(), step, tensors);
  });
}

Floats cuda_sgd(EmulatedDevice& device, const std::vector<Tensors>& all) {
  return updated(device, all, [&](const std::vector<OnDevice>& places) {
    const float* const by = device.put(Floats{rate});
    std::vector<cuda::SgdTensor> tensors;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto& [p, m, v] = places[i];
      tensors.push_back({p, m, device.put(all[i].gradient), by, p, m, size_of(all[i].p)});
    }
    emulated::optimiser_functions().sgd(device.queue(), sgd_step, tensors);
  });
}

TEST_CASE("cuda updates of many parameters have the bits of the CPU's plain kernels") {
  std::mt19937 random(2);
  const std::vector<Tensors> all = parameters(random);
  std::vector<Tensors> by_adam = all, by_sgd = all;
  for (Tensors& t : by_adam) plain_adam(t);
  for (Tensors& t : by_sgd) plain_sgd(t);
  check_same(in_all_orders([&](EmulatedDevice& device) { return cuda_adam(device, all); }), all_values(by_adam));
  check_same(in_all_orders([&](EmulatedDevice& device) { return cuda_sgd(device, all); }), all_values(by_sgd));
}

TEST_CASE("cuda updates take as few launches as fit, and none where there is nothing") {
  std::mt19937 random(3);
  EmulatedDevice device;
  const auto launches = [&](const std::vector<Tensors>& all) {
    const Index before = cuda::emulator_counts(device.runtime()).launches;
    cuda_adam(device, all);
    return cuda::emulator_counts(device.runtime()).launches - before;
  };
  const std::vector<Tensors> all = parameters(random);
  CHECK(launches(all) == 2);
  CHECK(launches({all.begin(), all.begin() + 41}) == 1);
  CHECK(launches({all[0]}) == 0);
}

TEST_CASE("cuda updates do nothing where the stop flag holds a number") {
  std::mt19937 random(4);
  const std::vector<Tensors> all = parameters(random);
  EmulatedDevice device;
  device.queue().stop_flag = device.put(Integers{17});
  check_same(cuda_adam(device, all), all_values(all));
  check_same(cuda_sgd(device, all), all_values(all));
  device.queue().stop_flag = device.put(Integers{Queue::none_bad});
  CHECK(!same_bits(cuda_adam(device, all), all_values(all)));
}

// ---- Batches.

TEST_CASE("cuda batches: images at positions as f32 / 255, and their labels") {
  std::vector<std::uint8_t> bytes;
  for (int i = 0; i < 5 * 53; ++i) bytes.push_back(static_cast<std::uint8_t>(i));
  const Integers labels = {3, 1, 4, 1, 5}, positions = {4, 0, 0, 5, 2, -1};
  Floats wanted;
  for (const std::int32_t at : positions) {
    for (int i = 0; i < 53; ++i)
      wanted.push_back(at < 0 || at > 4 ? not_a_number : static_cast<float>(bytes[static_cast<std::size_t>(at * 53 + i)]) / 255.0f);
  }
  const auto [images, classes] = in_all_orders([&](EmulatedDevice& device) {
    float* const to = device.allocate<float>(size_of(wanted));
    auto* const to_labels = device.allocate<std::int32_t>(6);
    emulated::data_functions().gather_images(device.queue(), {device.put(bytes), device.put(labels), 5, 53}, 6, device.put(positions), to,
                                             to_labels);
    return std::tuple{device.get(to, size_of(wanted)), device.get(to_labels, 6)};
  });
  check_same(images, wanted);
  check_same(classes, {5, 3, 3, -1, 4, -1});
}

// ---- Metrics.

TEST_CASE("cuda metrics: losses and right guesses as the CPU adds them up, and nothing where the stop flag holds a number") {
  std::mt19937 random(5);
  for (const Index rows : {Index{0}, Index{1}, Index{37}, Index{700}}) {
    const Floats logits = rows == 37 ? special_floats(random, rows * 10) : random_floats(random, rows * 10);
    const Integers labels = random_integers(random, rows, 0, 9);
    Floats losses = random_floats(random, rows, 0, 5), wanted = {0.5f, 100, 7};
    for (float& loss : losses) loss = std::round(8 * loss) / 8;  // sums are exact
    const Floats before = wanted;
    for (Index i = 0; i < rows; ++i) {
      const float* const row = logits.data() + i * 10;
      wanted[0] += losses[static_cast<std::size_t>(i)];
      wanted[1] += std::max_element(row, row + 10) - row == labels[static_cast<std::size_t>(i)] ? 1.0f : 0.0f;
    }
    wanted[2] += 1;
    for (const bool stop : {false, true}) {
      const auto [next, in_place] = in_all_orders([&](EmulatedDevice& device) {
        if (stop) device.queue().stop_flag = device.put(Integers{3});
        float *const totals = device.put(before), *const to = device.put(Floats(3));
        const float *const in = device.put(logits), *const by = device.put(losses);
        const std::int32_t* const at = device.put(labels);
        emulated::metrics_functions().add_totals(device.queue(), rows, 10, by, in, at, totals, to);
        emulated::metrics_functions().add_totals(device.queue(), rows, 10, by, in, at, totals, totals);
        return std::tuple{device.get(to, 3), device.get(totals, 3)};
      });
      check_same(next, stop ? Floats(3) : wanted);
      check_same(in_place, stop ? before : wanted);
    }
  }
}

// ---- The watch over values that are not finite.

TEST_CASE("cuda guard: the least number of values that are not finite, or whose square is not") {
  std::mt19937 random(6);
  const auto flag_after = [&](const std::vector<Floats>& arrays, std::int32_t flag) {
    return in_all_orders([&](EmulatedDevice& device) {
      std::vector<Watched> watched;
      for (std::size_t i = 0; i < arrays.size(); ++i)
        watched.push_back({device.put(arrays[i]), size_of(arrays[i]), static_cast<std::int32_t>(10 * i)});
      std::int32_t* const at = device.put(Integers{flag});
      emulated::guard_functions().not_finite(device.queue(), watched, at);
      return device.get(at, 1);
    })[0];
  };
  std::vector<Floats> arrays;
  for (int i = 0; i < 70; ++i) arrays.push_back(random_floats(random, i == 3 ? 3000 : i % 7, -1e19, 1e19));  // some are empty
  CHECK(flag_after(arrays, Queue::none_bad) == Queue::none_bad);
  for (const float bad : {not_a_number, infinity, -infinity, 1e20f}) {
    std::vector<Floats> spoilt = arrays;
    spoilt[3][2999] = bad;
    spoilt[69][5] = bad;
    CHECK(flag_after(spoilt, Queue::none_bad) == 30);
    CHECK(flag_after(spoilt, 12) == 12);
    spoilt[3][2999] = 0;
    CHECK(flag_after(spoilt, Queue::none_bad) == 690);
  }
  CHECK(flag_after({}, 5) == 5);
}

}  // namespace
