// wengert bench: medians over repeated runs. The benchmarks themselves stand in the bench_*.cpp files beside this one.
#include "bench.hpp"

#include <algorithm>
#include <cassert>
#include <chrono>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <wengert/engine/device.hpp>
#include <wengert/engine/error.hpp>

#include "command.hpp"

namespace wengert::command {

namespace {

double seconds_of(const std::function<void()>& body, Index calls) {
  const auto start = std::chrono::steady_clock::now();
  for (Index call = 0; call < calls; ++call) body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

double median(std::vector<double> values) {
  assert(!values.empty());
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

std::vector<Timing> time_in_turn(const std::vector<std::function<void()>>& candidates, int rounds) {
  constexpr double shortest_turn = 1e-3, time_each = 1.0;  // seconds
  constexpr int fewest = 5, most = 200;
  std::vector<Index> calls;
  double round_time = 0;
  for (const auto& candidate : candidates) {
    candidate();  // warms caches and allocators
    const double once = std::max(seconds_of(candidate, 1), 1e-9);
    calls.push_back(std::max<Index>(1, static_cast<Index>(shortest_turn / once)));
    round_time += once * static_cast<double>(calls.back());
  }
  if (rounds == 0) {
    const double wanted = time_each * static_cast<double>(candidates.size()) / std::max(round_time, shortest_turn);
    rounds = static_cast<int>(std::clamp<double>(wanted, fewest, most));
  }
  std::vector<std::vector<double>> times(candidates.size());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t c = 0; c < candidates.size(); ++c)
      times[c].push_back(seconds_of(candidates[c], calls[c]) / static_cast<double>(calls[c]));
  }
  std::vector<Timing> timings;
  for (auto& one : times) timings.push_back({median(one), *std::min_element(one.begin(), one.end())});
  return timings;
}

std::string time_text(double seconds) {
  if (seconds >= 1.0) return fmt::format("{:.3g} s", seconds);
  if (seconds >= 1e-3) return fmt::format("{:.3g} ms", seconds * 1e3);
  if (seconds >= 1e-6) return fmt::format("{:.3g} us", seconds * 1e6);
  return fmt::format("{:.3g} ns", seconds * 1e9);
}

std::vector<std::string> backends_on(const Op& op, Device device) {
  std::vector<std::string> backends;
  for (const Kernel& kernel : op.kernels) {
    if (kernel.device == device.kind) backends.push_back(kernel.backend);
  }
  return backends;
}

void wait_for(Device device) {
  if (device != Device{}) device_runtime(device)->queue().wait();
}

void want_kernel(const std::string& op, const std::vector<std::string>& backends, const std::string& kernel) {
  std::vector<std::string> valid = backends;
  valid.push_back("auto");
  const std::string backend = kernel.substr(0, kernel.find(','));
  if (std::find(valid.begin(), valid.end(), backend) == valid.end()) {
    fail(fmt::format("[{}] has no kernel '{}'{}", op, backend, suggestion(backend, valid)));
  }
}

void add_bench(CLI::App& app, int& status) {
  CLI::App* bench =
      app.add_subcommand("bench", "Time the engine's overhead, a convolution, an op, a training step, the core's peak: medians of runs");
  bench->require_subcommand(1);
  bench->footer("Example:\n  wengert bench conv --kernel im2col --shape 64,8,24,24,8,5,5");
  add_bench_overhead(*bench, status);
  add_bench_conv(*bench, status);
  add_bench_op(*bench, status);
  add_bench_step(*bench, status);
  add_bench_predict(*bench, status);
  add_bench_peak(*bench, status);
}

}  // namespace wengert::command
