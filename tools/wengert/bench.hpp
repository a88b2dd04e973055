// What the benchmarks share: medians of interleaved runs, and the subcommands of `wengert bench`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <wengert/engine/op.hpp>

namespace CLI {
class App;
}

namespace wengert::command {

struct Timing {
  double median = 0, least = 0;  // seconds
};

// Seconds of one call of each candidate. They take turns, round after round, so that a machine that changes its speed does
// so for all of them; a quick candidate is called several times a turn. `rounds` 0: as many as about a second a candidate gives,
// at least 5.
std::vector<Timing> time_in_turn(const std::vector<std::function<void()>>& candidates, int rounds = 0);

// The middle value; of an even number the mean of the two in the middle. Not of none.
double median(std::vector<double> values);

// "12.3 ms", with the unit that fits.
std::string time_text(double seconds);

// The kernels that an op has on a device.
std::vector<std::string> backends_on(const Op& op, Device device);

// Until the device has done what it was given; at once on the host.
void wait_for(Device device);

// An error unless `kernel` is a backend that the op has (NAME or NAME,auto) or auto.
void want_kernel(const std::string& op, const std::vector<std::string>& backends, const std::string& kernel);

// Each adds itself to `bench`; the callback that it installs stores the exit status in `status`.
void add_bench_overhead(CLI::App& bench, int& status);
void add_bench_conv(CLI::App& bench, int& status);
void add_bench_op(CLI::App& bench, int& status);
void add_bench_step(CLI::App& bench, int& status);
void add_bench_predict(CLI::App& bench, int& status);
void add_bench_peak(CLI::App& bench, int& status);

}  // namespace wengert::command
