// Experiments batch, rate and examples: accuracy and time of a training against each of them.
#include <algorithm>

#include <fmt/format.h>

#include "training.hpp"

namespace wengert::command::experiment {

namespace {

// A training for each value and seed, whose row has the value under the experiment's name.
template <class Value, class Change>
std::vector<Measurement> sweep(const char* experiment, const ExperimentSettings& settings, const std::vector<Value>& values,
                               const Change& change) {
  std::vector<Measurement> list;
  for (const Value& value : values)
    for (const std::uint64_t seed : seeds_of(settings)) {
      Training training(settings, seed);
      change(training.script, value);
      const Index batch = training.script.options.batch, examples = training.script.fit.examples;
      const double part = examples == 0 ? 1.0 : static_cast<double>(examples) / static_cast<double>(settings.train->size());
      list.push_back({experiment, fmt::format("{}/{}/{}", experiment, value, seed), fmt::format("{} {}, seed {}", experiment, value, seed),
                      1 + part * static_cast<double>(training.script.fit.epochs) * epoch_seconds(batch),
                      [settings, training, experiment, value, seed]() -> Json {
                        const Outcome outcome = run(settings, training);
                        return {{experiment, value},
                                {"seed", seed},
                                {"epochs", training.script.fit.epochs},
                                {"accuracy", outcome.accuracy_or_null()},
                                {"seconds", outcome.seconds_or_null()},
                                {"note", outcome.failure}};
                      }});
    }
  return list;
}

}  // namespace

std::vector<Measurement> batch_measurements(const ExperimentSettings& settings) {
  const std::vector<Index> sizes = settings.quick ? std::vector<Index>{32, 256} : std::vector<Index>{8, 16, 32, 64, 128, 256, 512, 1024};
  return sweep("batch", settings, sizes, [](Script& script, Index batch) { script.options.batch = batch; });
}

std::vector<Measurement> rate_measurements(const ExperimentSettings& settings) {
  const std::vector<double> rates =
      settings.quick ? std::vector<double>{1e-3, 1e-1} : std::vector<double>{1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1};
  return sweep("rate", settings, rates, [](Script& script, double rate) {
    set_rate(script.optimiser, rate);
    script.options.schedule = {};  // constant
  });
}

std::vector<Measurement> examples_measurements(const ExperimentSettings& settings) {
  const std::vector<Index> counts =
      settings.quick ? std::vector<Index>{100, 1000} : std::vector<Index>{100, 300, 1000, 3000, 10000, 30000, 60000};
  return sweep("examples", settings, counts, [&settings](Script& script, Index examples) {
    script.fit.examples = examples;
    constexpr Index least_steps = 1000;  // so that few examples, too, are learned
    const Index batch = script.options.batch, steps_an_epoch = (examples + batch - 1) / batch;
    if (!settings.quick) script.fit.epochs = std::max(script.fit.epochs, (least_steps + steps_an_epoch - 1) / steps_an_epoch);
  });
}

}  // namespace wengert::command::experiment
