// Experiment accuracy: the report's table 2, a training on every implementation; and curves, one of them epoch by epoch.
#include <algorithm>

#include <fmt/format.h>

#include "implementations.hpp"
#include "peer.hpp"
#include "training.hpp"

namespace wengert::command::experiment {

namespace {

std::string accuracy_key(std::string_view name, Index batch, std::uint64_t seed) {
  return fmt::format("accuracy/{}/{}/{}", name, batch, seed);
}

// Of one training of an implementation; its row begins with who, what batch and what seed it was.
Measurement accuracy_of(const std::string& name, const std::string& title, Index batch, std::uint64_t seed, double seconds,
                        const std::function<Json()>& run) {
  const auto row = [=]() -> Json {
    Json made = {{"implementation", title}, {"batch", batch}, {"seed", seed}};
    made.update(run());
    return made;
  };
  return {"accuracy", accuracy_key(name, batch, seed), fmt::format("accuracy: {}, batch {}, seed {}", title, batch, seed), seconds, row};
}

Json row_of(const Outcome& outcome, const Training& training, const std::string& note = {}) {
  return {{"epochs", training.script.fit.epochs},
          {"accuracy", outcome.accuracy_or_null()},
          {"seconds", outcome.seconds_or_null()},
          {"note", outcome.failure.empty() ? note : outcome.failure}};
}

Measurement rung_accuracy(const ExperimentSettings& settings, const Rung& implementation, Index batch, std::uint64_t seed) {
  Training training(settings, seed);
  training.script.options.batch = batch;
  use(training.script.options, implementation);
  std::string note;
  if (implementation.naive()) {
    training.script.fit.epochs = 1;
    if (settings.quick) training.script.fit.steps = 5;
    note = settings.quick ? "5 steps only" : "1 epoch only";
  }
  const double an_epoch = implementation.naive() ? 90 : implementation.eager ? 9 : epoch_seconds(batch);
  return accuracy_of(implementation.name, implementation.name, batch, seed,
                     settings.quick ? 1 : an_epoch * static_cast<double>(training.script.fit.epochs),
                     [settings, training, note] { return row_of(run(settings, training), training, note); });
}

Measurement cuda_accuracy(const ExperimentSettings& settings, Index batch, std::uint64_t seed) {
  return accuracy_of("CUDA", "CUDA", batch, seed, 0, [settings, batch, seed]() -> Json {
    const auto device = cuda_or_none();
    if (!device) return {{"accuracy", nullptr}, {"note", no_device}};
    Training training(settings, seed);
    training.script.options.batch = batch, training.script.options.device = *device;
    return row_of(run(settings, training), training);
  });
}

Measurement peer_accuracy(const ExperimentSettings& settings, const std::string& name, Index batch, std::uint64_t seed) {
  Training training(settings, seed);
  training.script.options.batch = batch;
  Measurement made = accuracy_of(name, peer_title(name), batch, seed, settings.quick ? 10 : 150, [settings, training, name]() -> Json {
    Json answer = peer_training(settings, name, training);
    Json row = {{"epochs", training.script.fit.epochs}, {"accuracy", nullptr}};
    if (!answer.contains("note")) {
      row["accuracy"] = numbers(answer, "epoch_accuracy").back();
      row["peers"] = {name};
    }
    for (const char* const key : {"seconds", "epoch_loss", "epoch_accuracy", "version", "note"}) {
      if (answer.contains(key)) row[key] = answer.at(key);
    }
    return row;
  });
  made.peers = present_of({name}, settings);
  if (made.peers.empty()) made.seconds = 0;
  return made;
}

// A training as its row of curves.
Json curve(const std::string& implementation, std::uint64_t seed, const Json& losses, const Json& accuracies, const std::string& note) {
  return {{"implementation", implementation}, {"seed", seed}, {"loss", losses}, {"accuracy", accuracies}, {"note", note}};
}

// The training is one of accuracy's, so that it is made once.
Measurement peer_curves(const ExperimentSettings& settings, const std::string& name, const Training& training) {
  const auto row_from = [settings, name](const Json& answer) {
    Json row =
        curve(peer_title(name), settings.seed, numbers(answer, "epoch_loss"), numbers(answer, "epoch_accuracy"), text(answer, "note"));
    if (!answer.contains("note") || text(answer, "note").empty()) row["peers"] = {name};
    return row;
  };
  const std::string same = accuracy_key(name, training.script.options.batch, settings.seed);
  const std::vector<std::string> present = present_of({name}, settings);
  return {"curves",
          fmt::format("curves/{}/{}", name, settings.seed),
          "curves: " + peer_title(name),
          present.empty()  ? 0.0
          : settings.quick ? 15.0
                           : 150.0,
          [settings, training, name, row_from] { return row_from(peer_training(settings, name, training)); },
          [same, row_from](const Results& results) -> Json {
            const Json* const row = results.find(same);
            return row != nullptr && row->contains("epoch_loss") ? row_from(*row) : Json();
          },
          present};
}

}  // namespace

std::vector<Measurement> accuracy_measurements(const ExperimentSettings& settings) {
  std::vector<Measurement> list;
  const std::vector<std::uint64_t> seeds = seeds_of(settings);
  for (const Index batch : settings.quick ? std::vector<Index>{64} : std::vector<Index>{64, 32}) {
    for (const Rung& implementation : rungs)
      for (const std::uint64_t seed : implementation.naive() ? std::vector{seeds[0]} : seeds)
        list.push_back(rung_accuracy(settings, implementation, batch, seed));
    for (const std::uint64_t seed : seeds) list.push_back(cuda_accuracy(settings, batch, seed));
    for (const std::string& name : training_peers(settings))
      for (const std::uint64_t seed : seeds) list.push_back(peer_accuracy(settings, name, batch, seed));
    if (std::find(settings.peers.begin(), settings.peers.end(), steps_only) != settings.peers.end())
      list.push_back(accuracy_of(steps_only, peer_title(steps_only), batch, seeds[0], 0, []() -> Json {
        return {{"accuracy", nullptr}, {"note", "it has a training step, and no training"}};
      }));
  }
  return list;
}

std::vector<Measurement> curves_measurements(const ExperimentSettings& settings) {
  const Training training(settings, settings.seed);
  std::vector<Measurement> list = {{"curves", fmt::format("curves/wengert/{}", settings.seed), "curves: wengert",
                                    static_cast<double>(training.script.fit.epochs) * epoch_seconds(training.script.options.batch),
                                    [settings, training]() -> Json {
                                      const Outcome outcome = run(settings, training, true);
                                      return curve("wengert", settings.seed, outcome.losses, outcome.accuracies, outcome.failure);
                                    }}};
  for (const std::string& name : training_peers(settings)) list.push_back(peer_curves(settings, name, training));
  return list;
}

}  // namespace wengert::command::experiment
