// wengert bench peak: what one core can do at most, to set the kernels' GFLOP/s beside.
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <wengert/backends/direct/target.hpp>

#include "bench.hpp"
#include "command.hpp"
#include "output.hpp"
#include "peak.hpp"

namespace wengert::command {

namespace {

struct Peak {
  std::vector<double> gflops;     // of each target
  std::vector<double> gigabytes;  // a second, of each area
};

Peak measure() {
  Peak peak{multiply_add_speeds(direct::targets()), copy_speeds(areas)};
  constexpr double giga = 1e9;
  for (auto* speeds : {&peak.gflops, &peak.gigabytes}) {
    for (double& speed : *speeds) speed /= giga;
  }
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
