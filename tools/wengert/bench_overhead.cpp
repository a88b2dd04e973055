// wengert bench overhead: what recording and running one small op costs.
#include <chrono>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <wengert/engine/context.hpp>
#include <wengert/ops/catalogue.hpp>

#include "bench.hpp"
#include "command.hpp"
#include "output.hpp"

namespace wengert::command {

namespace {

using Clock = std::chrono::steady_clock;

double nanoseconds_since(Clock::time_point start) { return std::chrono::duration<double, std::nano>(Clock::now() - start).count(); }

constexpr int tapes = 101, blocks = 64, ops_a_block = 64;  // a fresh tape every 4096 ops; a block is long enough for the clock

struct Overhead {
  double recorded = 0;    // ns to record and run an op
  double released = 0;    // ns an op of a tape's whole life, its release included
  double unrecorded = 0;  // ns to run an op without a tape
};

// Appends the time of an add of two Vars, block by block.
void time_blocks(const Var& a, const Var& b, std::vector<double>& times) {
  for (int block = 0; block < blocks; ++block) {
    const auto start = Clock::now();
    for (int i = 0; i < ops_a_block; ++i) add(a, b);
    times.push_back(nanoseconds_since(start) / ops_a_block);
  }
}

Overhead measure() {
  const Tensor values = Tensor::full({8}, 1.5);
  std::vector<double> recorded, released, unrecorded;
  for (int round = 0; round < tapes; ++round) {
    const auto start = Clock::now();
    {
      Tape tape;
      const Var a = tape.variable(values, "a"), b = tape.variable(values, "b");
      time_blocks(a, b, recorded);
    }
    released.push_back(nanoseconds_since(start) / (blocks * ops_a_block));
    time_blocks(Var(values), Var(values), unrecorded);
  }
  return {median(recorded), median(released), median(unrecorded)};
}

}  // namespace

void add_bench_overhead(CLI::App& bench, int& status) {
  CLI::App* sub = bench.add_subcommand("overhead", "Time the recording and running of an add of 8 floats eagerly");
  auto as_json = std::make_shared<bool>(false);
  sub->add_flag("--json", *as_json, "Print JSON");
  sub->footer("Example:\n  wengert bench overhead --json");
  sub->callback([as_json, &status] {
    const Overhead result = measure();
    if (*as_json) {
      const nlohmann::ordered_json json = {{"ns_per_op", result.recorded},
                                           {"ns_per_op_with_release", result.released},
                                           {"ns_per_op_unrecorded", result.unrecorded},
                                           {"ops_a_tape", blocks * ops_a_block},
                                           {"tapes", tapes}};
      print_line(json.dump(2));
    } else {
      print_line(
          fmt::format("add of 8 floats, recorded and run: {:.0f} ns an op (median of {} blocks of {} ops, a fresh tape every {} ops)",
                      result.recorded, tapes * blocks, ops_a_block, blocks * ops_a_block));
      print_line(fmt::format("with making and releasing the tape: {:.0f} ns an op; without recording: {:.0f} ns", result.released,
                             result.unrecorded));
    }
    status = success;
  });
}

}  // namespace wengert::command
