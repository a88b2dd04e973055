// CUDA's batch norm in the emulator against the naive kernel and against plain loops in f64, in every order of threads.
#include <wengert/backends/cuda/kernels/batch_norm.hpp>
#include <wengert/backends/naive/batch_norm.hpp>

#include "cuda_kernels.hpp"

namespace {

using namespace wengert;
using namespace wengert::test;
using cuda::emulated::batch_norm_functions;

// The last two have channels of several slices.
const Shape shapes[] = {{9, 3, 2, 5}, {5, 4}, {4, 1, 3}, {1, 2, 3, 1}, {2, 17, 7}, {3, 2, 41, 37}, {4500, 3}};

constexpr Index many_channels = 2053;  // more than blocks

void* workspace_for(EmulatedDevice& device, const Shape& shape) {
  return device.allocate<std::uint8_t>(batch_norm_functions().workspace(shape));
}

TEST_CASE("cuda batch norm: y, mean and variance") {
  std::mt19937 random(1);
  for (const Shape& shape : shapes) {
    CAPTURE(shape.text());
    const Index channels = shape[1];
    Floats x = random_floats(random, shape.elements(), 1, 3), gamma = random_floats(random, channels),
           beta = random_floats(random, channels);
    Floats y(x.size()), mean(gamma.size()), variance(gamma.size());
    const Shape c{channels};
    naive::batch_norm(0.1, {x.data(), shape}, {gamma.data(), c}, {beta.data(), c}, {y.data(), shape}, {mean.data(), c},
                      {variance.data(), c});
    const auto [got_y, got_mean, got_variance] = in_all_orders([&](EmulatedDevice& device) {
      float *const to = device.allocate<float>(size_of(x)), *const means = device.allocate<float>(channels),
                   *const variances = device.allocate<float>(channels);
      batch_norm_functions().batch_norm(device.queue(), 0.1, shape, device.put(x), device.put(gamma), device.put(beta), to, means,
                                        variances, workspace_for(device, shape));
      return std::tuple{device.get(to, size_of(x)), device.get(means, channels), device.get(variances, channels)};
    });
    check_same(got_y, y, 1e-5);
    check_same(got_mean, mean, 1e-6);
    check_same(got_variance, variance, 1e-5);
  }
}

TEST_CASE("cuda batch norm: blocks that take several channels") {
  const Shape shape{3, many_channels};
  Floats x, mean;
  for (Index i = 0; i < shape.elements(); ++i) x.push_back(static_cast<float>(i % many_channels + i / many_channels));
  for (Index c = 0; c < many_channels; ++c) mean.push_back(static_cast<float>(c + 1));
  const Floats gamma(static_cast<std::size_t>(many_channels), 1.0f), beta(gamma.size());
  const auto [got_mean, got_dbeta] = in_two_orders([&](EmulatedDevice& device) {
    float *const y = device.allocate<float>(size_of(x)), *const means = device.allocate<float>(many_channels),
                 *const variances = device.allocate<float>(many_channels), *const dgamma = device.allocate<float>(many_channels),
                 *const dbeta = device.allocate<float>(many_channels);
    const float* const in = device.put(x);
    void* const workspace = workspace_for(device, shape);
    const auto functions = batch_norm_functions();
    functions.batch_norm(device.queue(), 0.1, shape, in, device.put(gamma), device.put(beta), y, means, variances, workspace);
    functions.batch_norm_gradient(device.queue(), 0.1, shape, in, device.put(gamma), means, variances, in, y, dgamma, dbeta, workspace);
    return std::tuple{device.get(means, many_channels), device.get(dbeta, many_channels)};
  });
  check_same(got_mean, mean, 1e-6);
  for (float& value : mean) value *= 3;
  check_same(got_dbeta, mean, 1e-6);
}

struct Gradients {
  Floats x, gamma, beta;
};

// The formulas of ops/batch_norm.cpp.
Gradients reference(double epsilon, const Shape& shape, const Floats& x, const Floats& gamma, const Floats& mean, const Floats& variance,
                    const Floats& dy) {
  const Index pixels = shape.elements(2, shape.rank());
  const double share = 1.0 / static_cast<double>(shape[0] * pixels);
  const auto channel = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<Index>(i) / pixels % shape[1]); };
  const auto root = [&](std::size_t c) { return 1.0 / std::sqrt(static_cast<double>(variance[c]) + epsilon); };
  const auto normal = [&](std::size_t i) { return (static_cast<double>(x[i]) - mean[channel(i)]) * root(channel(i)); };
  std::vector<double> dgamma(gamma.size()), dbeta(gamma.size());
  for (std::size_t i = 0; i < x.size(); ++i) dgamma[channel(i)] += dy[i] * normal(i), dbeta[channel(i)] += static_cast<double>(dy[i]);
  Gradients result{x, gamma, gamma};
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = channel(i);
    result.x[i] = static_cast<float>(gamma[c] * root(c) * (dy[i] - share * (dbeta[c] + normal(i) * dgamma[c])));
  }
  for (std::size_t c = 0; c < gamma.size(); ++c) {
    result.gamma[c] = static_cast<float>(dgamma[c]);
    result.beta[c] = static_cast<float>(dbeta[c]);
  }
  return result;
}

TEST_CASE("cuda batch norm: its gradients") {
  std::mt19937 random(2);
  for (const Shape& shape : shapes) {
    CAPTURE(shape.text());
    const Index channels = shape[1];
    const Floats x = random_floats(random, shape.elements()), dy = random_floats(random, shape.elements()),
                 gamma = random_floats(random, channels), mean = random_floats(random, channels),
                 variance = random_floats(random, channels, 0.5, 2);
    const Gradients wanted = reference(0.1, shape, x, gamma, mean, variance, dy);
    const auto [dx, dgamma, dbeta] = in_all_orders([&](EmulatedDevice& device) {
      float *const to = device.allocate<float>(size_of(x)), *const gammas = device.allocate<float>(channels),
                   *const betas = device.allocate<float>(channels);
      batch_norm_functions().batch_norm_gradient(device.queue(), 0.1, shape, device.put(x), device.put(gamma), device.put(mean),
                                                 device.put(variance), device.put(dy), to, gammas, betas, workspace_for(device, shape));
      return std::tuple{device.get(to, size_of(x)), device.get(gammas, channels), device.get(betas, channels)};
    });
    check_same(dx, wanted.x, 1e-5);
    check_same(dgamma, wanted.gamma, 2e-5);
    check_same(dbeta, wanted.beta, 2e-5);
  }
}

}  // namespace
