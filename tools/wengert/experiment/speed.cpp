// Experiment speed: the report's table 1, milliseconds of a training step on every implementation, and on other systems in the same rounds.
#include <algorithm>
#include <chrono>
#include <memory>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>

#include "../bench.hpp"
#include "experiment.hpp"
#include "implementations.hpp"
#include "peer.hpp"

namespace wengert::command::experiment {

namespace {

constexpr double milliseconds = 1e3;

struct Contender {
  std::string name, note = {}, version = {};
  std::function<double()> round = {};  // the median of its steps in ms; none where it is absent
  std::vector<double> rounds = {};
};

// Steps of ours on successive batches of MNIST.
class Steps {
 public:
  Steps(Trainer trainer, const Dataset& set, Index batch, int count)
      : trainer_(std::move(trainer)), set_(set), batch_(batch), count_(count) {}

  double operator()() {
    std::vector<double> times;
    for (int i = 0; i < count_; ++i, ++step_) {
      const Dataset::Batch data = images_from(set_, step_ % (set_.size() / batch_) * batch_, batch_);
      const auto start = std::chrono::steady_clock::now();
      trainer_.step(data.images, data.labels);
      times.push_back(milliseconds * std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return median(times);
  }

 private:
  Trainer trainer_;
  const Dataset& set_;
  Index batch_, step_ = 0;
  int count_;
};

std::vector<Contender> contenders_of(const ExperimentSettings& settings, Index batch, int threads) {
  std::vector<Contender> found;
  const Trainer warm = warm_trainer(settings, batch);
  for (const Rung& implementation : rungs) {
    const int steps = implementation.kernel == std::string("naive") ? 1 : settings.quick ? 2 : 10;
    const auto run = std::make_shared<Steps>(trainer_like(warm, options_of(implementation, batch, threads, settings.seed)), *settings.train,
                                             batch, steps);
    found.push_back({implementation.name, {}, {}, [run] { return (*run)(); }});
  }
  Contender cuda{"CUDA"};
  try {
    const auto run = std::make_shared<Steps>(trainer_like(warm, cuda_options(batch, settings.seed)), *settings.train, batch, 10);
    cuda.round = [run] { return (*run)(); };
  } catch (const Error&) {
    cuda.note = no_device;
  }
  found.push_back(std::move(cuda));
  for (const std::string& name : settings.peers) {
    Contender peer{peer_title(name)};
    try {
      const auto process = std::make_shared<Peer>(name, settings.peers_folder, threads);
      peer.version = process->version();
      const auto ask = [process, batch](int steps) {
        return process->ask(fmt::format("step mnist_cnn {} {}", batch, steps)).at("ms").get<std::vector<double>>();
      };
      ask(settings.quick ? 5 : 100);
      const int steps = settings.quick ? 2 : 10;
      peer.round = [ask, steps] { return median(ask(steps)); };
    } catch (const Error& error) {
      peer.note = error.what();
    }
    found.push_back(std::move(peer));
  }
  return found;
}

Json measure(const ExperimentSettings& settings, Index batch, int threads) {
  std::vector<Contender> contenders = contenders_of(settings, batch, threads);
  const int rounds = settings.quick ? 3 : 9;
  for (int round = -1; round < rounds; ++round)  // the first warms up
    for (Contender& contender : contenders) {
      if (!contender.round) continue;
      try {
        const double ms = contender.round();
        if (round >= 0) contender.rounds.push_back(ms);
      } catch (const Error& error) {
        contender.round = nullptr;
        contender.note = error.what();
      }
    }
  Json rows = Json::array();
  for (const Contender& contender : contenders) {
    const bool measured = contender.round && !contender.rounds.empty();
    Json row = {{"implementation", contender.name}, {"threads", threads}};
    row["ms"] = measured ? Json(median(contender.rounds)) : Json();
    if (measured) {
      row["low"] = *std::min_element(contender.rounds.begin(), contender.rounds.end());
      row["high"] = *std::max_element(contender.rounds.begin(), contender.rounds.end());
      row["rounds"] = contender.rounds.size();
    }
    row["note"] = contender.note;
    if (!contender.version.empty()) row["version"] = contender.version;
    rows.push_back(std::move(row));
  }
  return {{"batch", batch}, {"threads", threads}, {"rows", rows}};
}

}  // namespace

std::vector<Measurement> speed_measurements(const ExperimentSettings& settings) {
  std::vector<Measurement> list;
  const std::vector<Index> batches = settings.quick ? std::vector<Index>{32} : std::vector<Index>{64, 32};
  for (const Index batch : batches)
    for (const int threads : settings.threads) {
      const double seconds = settings.quick ? 5 : 20 + 15 * static_cast<double>(settings.peers.size());
      list.push_back({"speed",
                      fmt::format("speed/{}/{}", batch, threads),
                      fmt::format("speed: batch {}, threads {}", batch, threads),
                      seconds,
                      [settings, batch, threads] { return measure(settings, batch, threads); },
                      {},
                      present_of(settings.peers, settings)});
    }
  return list;
}

}  // namespace wengert::command::experiment
