// wengert bench peak: what one core can do at most, to set the kernels' GFLOP/s beside.
#include <array>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <wengert/backends/direct/peak.hpp>
#include <wengert/backends/direct/target.hpp>
#include <wengert/engine/tensor.hpp>

#include "bench.hpp"
#include "command.hpp"
#include "output.hpp"

namespace wengert::command {

namespace {

constexpr int rounds = 25;
constexpr Index multiply_adds = 1 << 14;  // rounds of the chains: some hundred microseconds

// Bytes that a copy reads and writes, half each: well inside a cache of usual size, and well beyond the last one.
struct Area {
  const char* name;
  Index bytes;
};
constexpr std::array areas = {Area{"L1", 24 << 10}, Area{"L2", 384 << 10}, Area{"memory", 256 << 20}};

struct Peak {
  std::vector<double> gflops;     // of each target
  std::vector<double> gigabytes;  // a second, of each area
};

Peak measure() {
  const std::string before = direct::target();
  std::vector<std::function<void()>> candidates;
  for (const std::string& target : direct::targets()) {
    candidates.push_back([&target] {
      direct::set_target(target);
      direct::run_multiply_adds(multiply_adds);
    });
  }
  std::vector<Timing> times = time_in_turn(candidates, rounds);
  Peak peak;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    direct::set_target(direct::targets()[i]);
    peak.gflops.push_back(direct::run_multiply_adds(multiply_adds) / times[i].median * 1e-9);
  }
  direct::set_target(before);

  const Index most = areas.back().bytes / 2 / size_of(DType::f32);
  const Tensor from = Tensor::full({most}, 1.0);
  Tensor to = Tensor::zeros({most});
  const float* source = from.view().read<float>();
  float* destination = to.mutable_view().write<float>();
  candidates.clear();
  for (const Area& area : areas) {
    const Index count = area.bytes / 2 / size_of(DType::f32);
    candidates.push_back([=] { direct::run_copy(count, source, destination); });
  }
  times = time_in_turn(candidates, rounds);
  for (std::size_t i = 0; i < areas.size(); ++i) peak.gigabytes.push_back(static_cast<double>(areas[i].bytes) / times[i].median * 1e-9);
  return peak;
}

std::string bytes_text(Index bytes) { return bytes >= 1 << 20 ? fmt::format("{} MiB", bytes >> 20) : fmt::format("{} KiB", bytes >> 10); }

void print_json(const Peak& peak) {
  nlohmann::ordered_json targets = nlohmann::ordered_json::array(), copies = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < peak.gflops.size(); ++i) targets.push_back({{"target", direct::targets()[i]}, {"gflops", peak.gflops[i]}});
  for (std::size_t i = 0; i < areas.size(); ++i) {
    copies.push_back({{"area", areas[i].name}, {"bytes", areas[i].bytes}, {"gigabytes_per_second", peak.gigabytes[i]}});
  }
  print_line(nlohmann::ordered_json{{"multiply_add", targets}, {"copy", copies}}.dump(2));
}

void print_table(const Peak& peak) {
  Table table({"one core", "", ""}, {1});
  for (std::size_t i = 0; i < peak.gflops.size(); ++i)
    table.add({direct::targets()[i] + ", multiply-add", fmt::format("{:.1f}", peak.gflops[i]), "GFLOP/s"});
  for (std::size_t i = 0; i < areas.size(); ++i) {
    table.add(
        {fmt::format("{}, copy of {}", areas[i].name, bytes_text(areas[i].bytes / 2)), fmt::format("{:.1f}", peak.gigabytes[i]), "GB/s"});
  }
  print_line(table.text());
}

}  // namespace

void add_bench_peak(CLI::App& bench, int& status) {
  CLI::App* sub = bench.add_subcommand(
      "peak", "What one core can do at most: f32 multiply-adds of each vector target, and copying (bytes read plus written)");
  auto as_json = std::make_shared<bool>(false);
  sub->add_flag("--json", *as_json, "Print JSON");
  sub->footer("Example:\n  wengert bench peak --json");
  sub->callback([as_json, &status] {
    const Peak peak = measure();
    if (*as_json) print_json(peak);
    else print_table(peak);
    status = success;
  });
}

}  // namespace wengert::command
