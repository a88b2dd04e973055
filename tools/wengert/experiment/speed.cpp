// Experiments that time training steps, in turns. Speed: the report's table 1, on every implementation and on other systems; scaling: against
// the number of threads.
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

struct Contender {
  std::string name;
  int threads = 0;  // 0: threads say nothing of it
  std::string note = {}, version = {};
  std::function<double()> round = {};  // the median of its steps in ms; none where it is absent
  std::string peer = {};               // as the user names it
  std::vector<double> rounds = {};

  bool measured() const { return round && !rounds.empty(); }
};

int steps_of(const ExperimentSettings& settings) { return settings.quick ? 2 : 10; }  // a round

// Steps of ours on successive batches of MNIST.
class Steps {
 public:
  Steps(Trainer trainer, const Dataset& set, Index batch, int count)
      : trainer_(std::move(trainer)), set_(set), batch_(batch), count_(count) {}

  double operator()() {
    constexpr double milliseconds = 1e3;
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

Contender rung(const ExperimentSettings& settings, const Trainer& warm, const Rung& implementation, Index batch, int threads) {
  const int steps = implementation.naive() ? 1 : steps_of(settings);
  const auto run =
      std::make_shared<Steps>(trainer_like(warm, options_of(implementation, batch, threads, settings.seed)), *settings.train, batch, steps);
  Contender made{implementation.name, threads};
  made.round = [run] { return (*run)(); };
  if (implementation.naive()) made.note = "1 step a round";
  return made;
}

Contender cuda(const ExperimentSettings& settings, const Trainer& warm, Index batch) {
  Contender made{"CUDA"};
  const auto device = cuda_or_none();
  if (!device) {
    made.note = no_device;
    return made;
  }
  TrainerOptions options;
  options.batch = batch, options.seed = settings.seed, options.device = *device;
  try {
    const auto run = std::make_shared<Steps>(trainer_like(warm, options), *settings.train, batch, steps_of(settings));
    made.round = [run] { return (*run)(); };
  } catch (const Error& error) {
    made.note = error.what();
  }
  return made;
}

Contender peer(const ExperimentSettings& settings, const std::string& name, Index batch, int threads) {
  Contender made{peer_title(name), threads};
  made.peer = name;
  try {
    const auto process = std::make_shared<Peer>(name, settings.peers_folder, threads);
    made.version = process->version();
    const auto ask = [process, batch](int steps) {
      const std::vector<double> times = numbers(process->ask(fmt::format("step mnist_cnn {} {}", batch, steps)), "ms");
      if (times.empty()) fail("its answer has no times");
      return times;
    };
    ask(settings.quick ? 5 : 100);
    made.round = [ask, steps = steps_of(settings)] { return median(ask(steps)); };
  } catch (const Error& error) {
    made.note = error.what();
  }
  return made;
}

// Rounds of all contenders, in turns: a machine that changes its speed does so for all of them.
Json measure(const ExperimentSettings& settings, Index batch, std::vector<Contender> contenders) {
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
  std::vector<std::string> peers, failed;
  for (const Contender& contender : contenders) {
    Json row = {{"implementation", contender.name}, {"threads", contender.threads}, {"ms", nullptr}};
    if (contender.measured()) {
      row["ms"] = median(contender.rounds);
      row["low"] = *std::min_element(contender.rounds.begin(), contender.rounds.end());
      row["high"] = *std::max_element(contender.rounds.begin(), contender.rounds.end());
      row["rounds"] = contender.rounds.size();
    }
    row["note"] = contender.note;
    if (!contender.version.empty()) row["version"] = contender.version;
    rows.push_back(std::move(row));
    if (!contender.peer.empty()) (contender.measured() ? peers : failed).push_back(contender.peer);
  }
  std::erase_if(peers, [&](const std::string& name) { return std::find(failed.begin(), failed.end(), name) != failed.end(); });
  peers.erase(std::unique(peers.begin(), peers.end()), peers.end());
  return {{"batch", batch}, {"rows", rows}, {"peers", peers}};
}

std::vector<std::string> all_peers(const ExperimentSettings& settings) {
  std::vector<std::string> all = settings.peers;
  for (const std::string& name : settings.earlier_peers) {
    if (std::find(all.begin(), all.end(), name) == all.end()) all.push_back(name);
  }
  return all;
}

Json measure_speed(const ExperimentSettings& settings, Index batch) {
  const Trainer warm = warm_trainer(settings, batch);
  std::vector<Contender> contenders;
  for (const int threads : settings.threads)
    for (const Rung& implementation : rungs) contenders.push_back(rung(settings, warm, implementation, batch, threads));
  contenders.push_back(cuda(settings, warm, batch));
  for (const std::string& name : all_peers(settings))
    for (const int threads : settings.threads) contenders.push_back(peer(settings, name, batch, threads));
  return measure(settings, batch, std::move(contenders));
}

constexpr Index scaling_batch = 64;

Json measure_scaling(const ExperimentSettings& settings) {
  const Trainer warm = warm_trainer(settings, scaling_batch);
  std::vector<Contender> contenders;
  for (const Rung& implementation : rungs) {
    if (implementation.naive()) continue;
    for (const int threads : settings.scaling_threads) contenders.push_back(rung(settings, warm, implementation, scaling_batch, threads));
  }
  return measure(settings, scaling_batch, std::move(contenders));
}

std::string speed_key(const ExperimentSettings& settings, Index batch) {
  return fmt::format("speed/{}/{}", batch, fmt::join(settings.threads, ","));
}

}  // namespace

std::vector<Measurement> speed_measurements(const ExperimentSettings& settings) {
  std::vector<Measurement> list;
  for (const Index batch : settings.quick ? std::vector<Index>{32} : std::vector<Index>{64, 32}) {
    const double seconds = settings.quick ? 10 : 25 + 30 * static_cast<double>(present_of(all_peers(settings), settings).size());
    list.push_back({"speed",
                    speed_key(settings, batch),
                    fmt::format("speed: batch {}", batch),
                    seconds,
                    [settings, batch] { return measure_speed(settings, batch); },
                    {},
                    present_of(settings.peers, settings)});
  }
  return list;
}

// What speed has measured with the same threads need not be measured again.
std::vector<Measurement> scaling_measurements(const ExperimentSettings& settings) {
  const auto known = [settings](const Results& results) -> Json {
    const Json* const speed = settings.threads == settings.scaling_threads ? results.find(speed_key(settings, scaling_batch)) : nullptr;
    if (speed == nullptr) return nullptr;
    Json rows = Json::array();
    for (const Json& row : speed->value("rows", Json::array())) {
      const std::string name = text(row, "implementation");
      const auto ours = [&](const Rung& implementation) { return name == implementation.name && !implementation.naive(); };
      if (std::any_of(std::begin(rungs), std::end(rungs), ours)) rows.push_back(row);
    }
    return {{"batch", scaling_batch}, {"rows", rows}};
  };
  return {{"scaling", fmt::format("scaling/{}", fmt::join(settings.scaling_threads, ",")), "scaling: threads",
           settings.quick ? 5.0 : 10.0 * static_cast<double>(settings.scaling_threads.size()),
           [settings] { return measure_scaling(settings); }, known}};
}

}  // namespace wengert::command::experiment
