#include "peak.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <wengert/backends/direct/peak.hpp>
#include <wengert/backends/direct/target.hpp>
#include <wengert/backends/tbb/executor.hpp>
#include <wengert/engine/tensor.hpp>

#include "bench.hpp"

namespace wengert::command {

namespace {

constexpr int rounds = 25;
constexpr Index multiply_adds = 1 << 14;  // rounds of the chains: some hundred microseconds

}  // namespace

std::vector<double> multiply_add_speeds(const std::vector<std::string>& targets) {
  const std::string before = direct::target();
  std::vector<double> speeds;  // FLOPs of a call, at first
  std::vector<std::function<void()>> candidates;
  for (const std::string& target : targets) {
    direct::set_target(target);
    speeds.push_back(direct::run_multiply_adds(multiply_adds));
    candidates.push_back([&target] {
      direct::set_target(target);
      direct::run_multiply_adds(multiply_adds);
    });
  }
  const std::vector<Timing> times = time_in_turn(candidates, rounds);
  for (std::size_t i = 0; i < speeds.size(); ++i) speeds[i] /= times[i].median;
  direct::set_target(before);
  return speeds;
}

std::vector<double> copy_speeds(std::span<const Area> of) {
  const auto floats = [](const Area& area) { return area.bytes / 2 / size_of(DType::f32); };
  Index most = 0;
  for (const Area& area : of) most = std::max(most, floats(area));
  const Tensor from = Tensor::full({most}, 1.0);
  Tensor to = Tensor::zeros({most});
  std::vector<std::function<void()>> candidates;
  for (const Area& area : of) {
    candidates.push_back([count = floats(area), source = from.view().read<float>(), destination = to.mutable_view().write<float>()] {
      direct::run_copy(count, source, destination);
    });
  }
  const std::vector<Timing> times = time_in_turn(candidates, rounds);
  std::vector<double> speeds;
  for (std::size_t i = 0; i < of.size(); ++i) speeds.push_back(static_cast<double>(of[i].bytes) / times[i].median);
  return speeds;
}

std::string Share::text() const {
  constexpr double percent = 100;
  return fmt::format("{:.1f}% of {}", percent * part, area != nullptr ? fmt::format("{} copy", area) : "peak");
}

namespace {
int cores(int threads) { return std::min(threads, tbb_executor(0)->workers()); }  // more threads have no more to share
}  // namespace

Share share_of_peak(double flops, DType dtype, double seconds, int threads) {
  static const double speed = multiply_add_speeds({direct::target()})[0];
  const double lanes =
      static_cast<double>(size_of(DType::f32)) / static_cast<double>(size_of(dtype));  // f64 fills a vector with half as many
  return {flops / seconds / (speed * lanes * cores(threads))};
}

Share share_of_copy(Index bytes, double seconds, int threads) {
  static std::array<double, areas.size()> speeds = {};
  std::size_t a = 0;
  while (a + 1 < areas.size() && bytes > areas[a].bytes) ++a;
  if (speeds[a] == 0) speeds[a] = copy_speeds({&areas[a], 1})[0];
  return {static_cast<double>(bytes) / seconds / (speeds[a] * cores(threads)), areas[a].name};
}

}  // namespace wengert::command
