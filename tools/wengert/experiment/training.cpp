#include "training.hpp"

#include <wengert/backends/tbb/executor.hpp>
#include <wengert/engine/error.hpp>

#include "../export_start.hpp"
#include "../scratch_folder.hpp"
#include "peer.hpp"

namespace wengert::command::experiment {

Training::Training(const ExperimentSettings& settings, std::uint64_t seed)
    : script(read_script(share_folder() / "scripts" / "mnist_cnn.toml")) {
  script.options.seed = seed;
  if (settings.quick) script.fit.epochs = 1, script.fit.examples = 2000;
}

Outcome run(const ExperimentSettings& settings, const Training& training, bool each_epoch) {
  const Script& script = training.script;
  Outcome outcome;
  outcome.trainer = std::make_shared<Trainer>(script.network, script.optimiser, script.options, script.input);
  FitCallbacks callbacks;
  callbacks.epoch = [&](const EpochReport& report) {
    outcome.losses.push_back(report.loss);
    outcome.seconds += report.seconds;
    if (each_epoch) outcome.accuracies.push_back(outcome.trainer->evaluate(*settings.test).accuracy);
    return true;
  };
  try {
    outcome.trainer->fit(*settings.train, script.fit, callbacks);
    outcome.accuracy = outcome.trainer->evaluate(*settings.test).accuracy;
  } catch (const Error& error) {  // a loss that is not finite
    outcome.failure = error.what();
  }
  return outcome;
}

Json peer_training(const ExperimentSettings& settings, const std::string& name, const Training& training) {
  try {
    const ScratchFolder folder;
    export_start(training.script, *settings.train, folder.path());
    Peer peer(name, settings.peers_folder, tbb_executor(0)->workers());
    Json answer = peer.ask("train mnist_cnn " + folder.path().string());
    if (numbers(answer, "epoch_accuracy").empty()) fail("its answer has no accuracies");
    answer["version"] = peer.version();
    return answer;
  } catch (const Error& error) {
    return {{"note", error.what()}};
  }
}

std::vector<std::string> training_peers(const ExperimentSettings& settings) {
  std::vector<std::string> names = settings.peers;
  std::erase(names, steps_only);
  return names;
}

std::vector<std::uint64_t> seeds_of(const ExperimentSettings& settings) {
  const std::uint64_t first = settings.seed;
  return settings.quick ? std::vector<std::uint64_t>{first} : std::vector<std::uint64_t>{first, first + 1, first + 2};
}

double epoch_seconds(Index batch) { return 1.0 + 10.0 / static_cast<double>(batch); }

}  // namespace wengert::command::experiment
