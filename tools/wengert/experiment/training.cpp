// Experiments that train: accuracy on every implementation (the report's table 2), against batch size, learning rate and number of examples,
// the curves of a training, what it confuses, and what a shift of the digits does to it.
#include <algorithm>
#include <cmath>
#include <memory>

#include <fmt/format.h>

#include <wengert/backends/tbb/executor.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/models/mnist_cnn.hpp>
#include <wengert/models/script.hpp>

#include "../export_start.hpp"
#include "../scratch_folder.hpp"
#include "experiment.hpp"
#include "implementations.hpp"
#include "peer.hpp"

namespace wengert::command::experiment {

namespace {

// As tools/scripts/mnist_cnn.toml trains.
constexpr double usual_rate = 3e-3;
constexpr Index usual_batch = 64, usual_epochs = 5;

Adam adam_of(double rate) {
  Adam adam = Adam::report();
  adam.rate = rate;
  return adam;
}

Index seeds_of(const ExperimentSettings& settings) { return settings.quick ? 1 : 3; }

// A training from its seed to its accuracy on the test set.
struct Training {
  TrainerOptions options = {};
  FitOptions fit = {};
  double rate = usual_rate;
  Network network = MnistCnn{};

  Training(const ExperimentSettings& settings, std::uint64_t seed) {
    options.batch = usual_batch, options.seed = seed;
    options.schedule.kind = Schedule::Kind::one_cycle;
    fit.epochs = settings.quick ? 1 : usual_epochs;
    if (settings.quick) fit.examples = 2000;
  }
};

struct Outcome {
  std::shared_ptr<Trainer> trainer = {};
  double accuracy = 0, seconds = 0;
  bool diverged = false;
  std::vector<double> losses = {}, accuracies = {};  // of the epochs: training loss, test accuracy where asked for
};

Outcome run(const ExperimentSettings& settings, const Training& training, bool each_epoch = false) {
  Outcome outcome;
  outcome.trainer = std::make_shared<Trainer>(training.network, adam_of(training.rate), training.options);
  FitCallbacks callbacks;
  callbacks.epoch = [&](const EpochReport& report) {
    outcome.losses.push_back(report.loss);
    outcome.seconds += report.seconds;
    if (each_epoch) outcome.accuracies.push_back(outcome.trainer->evaluate(*settings.test).accuracy);
    return true;
  };
  try {
    outcome.trainer->fit(*settings.train, training.fit, callbacks);
    outcome.accuracy = outcome.trainer->evaluate(*settings.test).accuracy;
  } catch (const Error&) {  // a loss that is not finite
    outcome.diverged = true;
  }
  return outcome;
}

// ---- peers: from our initial weights, with our order of images and our rates
// Of the wanted peers those that train.
std::vector<std::string> training_peers(const ExperimentSettings& settings) {
  std::vector<std::string> names = settings.peers;
  std::erase(names, "onednn");
  return names;
}

// Its answer to "train", or {"note": why there is none}.
Json peer_training(const ExperimentSettings& settings, const std::string& name, const Training& training) {
  try {
    Script script = read_script(share_folder() / "scripts" / "mnist_cnn.toml");
    script.options.batch = training.options.batch, script.options.seed = training.options.seed;
    script.fit.epochs = training.fit.epochs, script.fit.examples = training.fit.examples;
    const ScratchFolder folder;
    export_start(script, *settings.train, folder.path());
    Peer peer(name, settings.peers_folder, tbb_executor(0)->workers());
    Json answer = peer.ask("train mnist_cnn " + folder.path().string());
    answer["version"] = peer.version();
    return answer;
  } catch (const Error& error) {
    return {{"note", error.what()}};
  }
}

// `count` values whose measurements differ in seed: "rate/0.001/2".
template <class Value, class Make>
std::vector<Measurement> over(const std::string& experiment, const ExperimentSettings& settings, const std::vector<Value>& values,
                              const Make& make) {
  std::vector<Measurement> list;
  for (const Value& value : values)
    for (Index i = 0; i < seeds_of(settings); ++i) {
      const std::uint64_t seed = settings.seed + static_cast<std::uint64_t>(i);
      Measurement made = make(value, seed);
      made.experiment = experiment;
      made.key = fmt::format("{}/{}/{}", experiment, value, seed);
      made.label = fmt::format("{} {}, seed {}", experiment, value, seed);
      list.push_back(std::move(made));
    }
  return list;
}

double epoch_seconds(Index batch) { return 1.0 + 10.0 / static_cast<double>(batch); }  // about what a planned one takes, for the time left

std::string accuracy_key(const std::string& name, Index batch, std::uint64_t seed) {
  return fmt::format("accuracy/{}/{}/{}", name, batch, seed);
}

std::vector<Measurement> accuracies(const ExperimentSettings& settings) {
  std::vector<Measurement> list;
  for (const Index batch : settings.quick ? std::vector<Index>{64} : std::vector<Index>{64, 32}) {
    for (const Rung& implementation : rungs) {
      const bool naive = implementation.kernel == std::string("naive");
      for (Index i = 0; i < (naive ? 1 : seeds_of(settings)); ++i) {
        const std::uint64_t seed = settings.seed + static_cast<std::uint64_t>(i);
        Training training(settings, seed);
        training.options = options_of(implementation, batch, 0, seed);
        training.options.schedule.kind = Schedule::Kind::one_cycle;
        std::string note;
        if (naive) {
          training.fit.epochs = 1;
          if (settings.quick) training.fit.steps = 5;
          note = settings.quick ? "5 steps only" : "1 epoch only";
        }
        const double seconds = static_cast<double>(training.fit.epochs) * (naive ? 90 : implementation.eager ? 9 : epoch_seconds(batch));
        list.push_back({"accuracy", fmt::format("accuracy/{}/{}/{}", implementation.name, batch, seed),
                        fmt::format("accuracy: {}, batch {}, seed {}", implementation.name, batch, seed), settings.quick ? 1 : seconds,
                        [settings, training, implementation, batch, seed, note]() -> Json {
                          const Outcome outcome = run(settings, training);
                          return {{"implementation", implementation.name},
                                  {"batch", batch},
                                  {"seed", seed},
                                  {"epochs", training.fit.epochs},
                                  {"accuracy", outcome.accuracy},
                                  {"seconds", outcome.seconds > 0 ? Json(outcome.seconds) : Json()},  // none of a part of an epoch
                                  {"note", note}};
                        }});
      }
    }
    for (Index i = 0; i < seeds_of(settings); ++i) {
      const std::uint64_t seed = settings.seed + static_cast<std::uint64_t>(i);
      list.push_back({"accuracy", fmt::format("accuracy/CUDA/{}/{}", batch, seed),
                      fmt::format("accuracy: CUDA, batch {}, seed {}", batch, seed), 0, [settings, batch, seed]() -> Json {
                        Json row = {{"implementation", "CUDA"}, {"batch", batch}, {"seed", seed}, {"accuracy", nullptr}};
                        Training training(settings, seed);
                        try {
                          training.options = cuda_options(batch, seed);
                        } catch (const Error&) {
                          row["note"] = no_device;
                          return row;
                        }
                        training.options.schedule.kind = Schedule::Kind::one_cycle;
                        const Outcome outcome = run(settings, training);
                        row["epochs"] = training.fit.epochs;
                        row["accuracy"] = outcome.accuracy;
                        row["seconds"] = outcome.seconds;
                        return row;
                      }});
    }
    for (const std::string& name : training_peers(settings)) {
      for (Index i = 0; i < seeds_of(settings); ++i) {
        const std::uint64_t seed = settings.seed + static_cast<std::uint64_t>(i);
        Training training(settings, seed);
        training.options.batch = batch;
        list.push_back(
            {"accuracy",
             accuracy_key(name, batch, seed),
             fmt::format("accuracy: {}, batch {}, seed {}", name, batch, seed),
             settings.quick ? 10.0 : 100.0,
             [settings, training, name, batch, seed]() -> Json {
               const Json answer = peer_training(settings, name, training);
               Json row = {{"implementation", peer_title(name)}, {"batch", batch}, {"seed", seed}, {"epochs", training.fit.epochs}};
               row["accuracy"] = answer.contains("epoch_accuracy") ? answer.at("epoch_accuracy").back() : Json();
               row["seconds"] = answer.contains("seconds") ? answer.at("seconds") : Json();
               row["note"] = answer.value("note", "");
               row["version"] = answer.value("version", "");
               for (const char* const key : {"epoch_loss", "epoch_accuracy"}) {
                 if (answer.contains(key)) row[key] = answer.at(key);
               }
               return row;
             },
             {},
             present_of({name}, settings)});
      }
    }
  }
  return list;
}

std::vector<Measurement> batches(const ExperimentSettings& settings) {
  const std::vector<Index> sizes = settings.quick ? std::vector<Index>{32, 256} : std::vector<Index>{8, 16, 32, 64, 128, 256, 512, 1024};
  return over("batch", settings, sizes, [&](Index batch, std::uint64_t seed) {
    Training training(settings, seed);
    training.options.batch = batch;
    return Measurement{{}, {}, {}, static_cast<double>(training.fit.epochs) * epoch_seconds(batch), [settings, training, seed]() -> Json {
                         const Outcome outcome = run(settings, training);
                         return {{"batch", training.options.batch}, {"seed", seed},
                                 {"epochs", training.fit.epochs},   {"accuracy", outcome.accuracy},
                                 {"seconds", outcome.seconds},      {"diverged", outcome.diverged}};
                       }};
  });
}

std::vector<Measurement> rates(const ExperimentSettings& settings) {
  const std::vector<double> values =
      settings.quick ? std::vector<double>{1e-3, 1e-1} : std::vector<double>{1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1};
  return over("rate", settings, values, [&](double rate, std::uint64_t seed) {
    Training training(settings, seed);
    training.rate = rate;
    training.options.schedule = {};  // constant
    return Measurement{
        {}, {}, {}, static_cast<double>(training.fit.epochs) * epoch_seconds(usual_batch), [settings, training, seed]() -> Json {
          const Outcome outcome = run(settings, training);
          return {{"rate", training.rate},         {"seed", seed},
                  {"epochs", training.fit.epochs}, {"accuracy", outcome.accuracy},
                  {"seconds", outcome.seconds},    {"diverged", outcome.diverged}};
        }};
  });
}

std::vector<Measurement> examples(const ExperimentSettings& settings) {
  const std::vector<Index> counts =
      settings.quick ? std::vector<Index>{100, 1000} : std::vector<Index>{100, 300, 1000, 3000, 10000, 30000, 60000};
  return over("examples", settings, counts, [&](Index count, std::uint64_t seed) {
    Training training(settings, seed);
    training.fit.examples = count;
    constexpr Index least_steps = 1000;  // so that few examples, too, are learned
    const Index steps_an_epoch = (count + usual_batch - 1) / usual_batch;
    if (!settings.quick) training.fit.epochs = std::max(usual_epochs, (least_steps + steps_an_epoch - 1) / steps_an_epoch);
    const double steps = static_cast<double>(training.fit.epochs * steps_an_epoch);
    return Measurement{{}, {}, {}, 1 + steps * epoch_seconds(usual_batch) / 938, [settings, training, count, seed]() -> Json {
                         const Outcome outcome = run(settings, training);
                         return {{"examples", count},
                                 {"seed", seed},
                                 {"epochs", training.fit.epochs},
                                 {"accuracy", outcome.accuracy},
                                 {"seconds", outcome.seconds}};
                       }};
  });
}

Json curves_row(const std::string& implementation, std::uint64_t seed, const Json& losses, const Json& accuracies, const Json& seconds,
                const std::string& note) {
  return {{"implementation", implementation}, {"seed", seed},       {"loss", losses},
          {"accuracy", accuracies},           {"seconds", seconds}, {"note", note}};
}

// Of peers the training is one of accuracy's, so that it is made once.
std::vector<Measurement> curves(const ExperimentSettings& settings) {
  std::vector<Measurement> list;
  const Training training(settings, settings.seed);
  list.push_back({"curves", fmt::format("curves/wengert/{}", settings.seed), "curves: wengert",
                  static_cast<double>(training.fit.epochs) * epoch_seconds(usual_batch), [settings, training]() -> Json {
                    const Outcome outcome = run(settings, training, true);
                    return curves_row("wengert", settings.seed, outcome.losses, outcome.accuracies, outcome.seconds, "");
                  }});
  for (const std::string& name : training_peers(settings)) {
    Measurement one{"curves",
                    fmt::format("curves/{}/{}", name, settings.seed),
                    "curves: " + name,
                    settings.quick ? 15.0 : 100.0,
                    [settings, training, name]() -> Json {
                      const Json answer = peer_training(settings, name, training);
                      return curves_row(peer_title(name), settings.seed, answer.value("epoch_loss", Json::array()),
                                        answer.value("epoch_accuracy", Json::array()), answer.value("seconds", Json()),
                                        answer.value("note", ""));
                    },
                    [settings, name](const Results& results) -> Json {
                      for (const Json* row : results.of("accuracy")) {
                        if (text(*row, "key") == accuracy_key(name, usual_batch, settings.seed) && row->contains("epoch_loss"))
                          return curves_row(peer_title(name), settings.seed, row->at("epoch_loss"), row->at("epoch_accuracy"),
                                            row->at("seconds"), text(*row, "note"));
                      }
                      return nullptr;
                    },
                    present_of({name}, settings)};
    list.push_back(std::move(one));
  }
  return list;
}

// ---- what a training confuses
std::string hex(const std::uint8_t* bytes, Index count) {
  std::string text;
  for (Index i = 0; i < count; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

// The misclassified test digits to whose true class the least probability is given.
Json worst_of(const Model& model, const Dataset& set, std::size_t most) {
  struct Wrong {
    Index index, label, predicted;
    double probability;
  };
  std::vector<Wrong> wrong;
  constexpr Index at_once = 250;
  for (Index first = 0; first < set.size(); first += at_once) {
    const Index count = std::min(at_once, set.size() - first);
    const Dataset::Batch batch = images_from(set, first, count);
    const Tensor logits = model(batch.images);
    const Index classes = logits.shape()[1];
    for (Index i = 0; i < count; ++i) {
      const float* const row = logits.view().read<float>() + i * classes;
      const Index predicted = std::max_element(row, row + classes) - row, label = batch.labels.view().read<std::int32_t>()[i];
      if (predicted == label) continue;
      double sum = 0;
      for (Index c = 0; c < classes; ++c) sum += std::exp(static_cast<double>(row[c] - row[predicted]));
      wrong.push_back({first + i, label, predicted, std::exp(static_cast<double>(row[label] - row[predicted])) / sum});
    }
  }
  std::sort(wrong.begin(), wrong.end(), [](const Wrong& a, const Wrong& b) { return a.probability < b.probability; });
  Json list = Json::array();
  const Index pixels = set.image().elements();
  for (std::size_t i = 0; i < std::min(most, wrong.size()); ++i) {
    const Wrong& w = wrong[i];
    list.push_back({{"index", w.index},
                    {"label", w.label},
                    {"predicted", w.predicted},
                    {"probability", w.probability},
                    {"pixels", hex(set.images.view().read<std::uint8_t>() + w.index * pixels, pixels)}});
  }
  return list;
}

std::vector<Measurement> recalls(const ExperimentSettings& settings) {
  return {{"recall", fmt::format("recall/{}", settings.seed), "recall: training and confusion", 5 * epoch_seconds(usual_batch),
           [settings]() -> Json {
             const Outcome outcome = run(settings, Training(settings, settings.seed));
             const Evaluation evaluation = outcome.trainer->evaluate(*settings.test);
             constexpr std::size_t most = 24;
             return {{"seed", settings.seed},
                     {"accuracy", evaluation.accuracy},
                     {"confusion", evaluation.confusion},
                     {"worst", worst_of(outcome.trainer->model(), *settings.test, most)}};
           }}};
}

// ---- a shift of the digits
// Moved down by `rows` and right by `columns`; black comes in.
Dataset shifted(const Dataset& set, Index rows, Index columns) {
  Dataset moved = set;
  moved.images = Tensor::zeros(set.images.shape(), DType::u8);
  const Shape image = set.image();
  const Index height = image[1], width = image[2];
  const auto* const from = set.images.view().read<std::uint8_t>();
  auto* const to = moved.images.mutable_view().write<std::uint8_t>();
  for (Index plane = 0; plane < set.size() * image[0]; ++plane)
    for (Index i = std::max<Index>(0, rows); i < std::min(height, height + rows); ++i)
      for (Index j = std::max<Index>(0, columns); j < std::min(width, width + columns); ++j)
        to[(plane * height + i) * width + j] = from[(plane * height + i - rows) * width + j - columns];
  return moved;
}

// About as many parameters as the convolutional network has.
Network perceptron() {
  return parse_script(R"(name = "mlp"
input = [1, 28, 28]
layers = [{ flatten = {} }, { linear = "hidden", units = 132 }, { relu = {} }, { linear = "output", units = 10 }]
)",
                      "the experiment's mlp")
      .network;
}

std::vector<Measurement> shifts(const ExperimentSettings& settings) {
  return over("shift", settings, std::vector<std::string>{"cnn", "mlp"}, [&](const std::string& name, std::uint64_t seed) {
    Training training(settings, seed);
    if (name == "mlp") training.network = perceptron();
    return Measurement{{}, {}, {}, 5 * epoch_seconds(usual_batch) + 3, [settings, training, name, seed]() -> Json {
                         const Outcome outcome = run(settings, training);
                         std::vector<Index> pixels;
                         std::vector<double> accuracy;
                         for (Index by = 0; by <= (settings.quick ? 2 : 6); ++by) {
                           const std::vector<std::pair<Index, Index>> ways =
                               by == 0 ? std::vector<std::pair<Index, Index>>{{0, 0}}
                                       : std::vector<std::pair<Index, Index>>{{by, 0}, {-by, 0}, {0, by}, {0, -by}};
                           double sum = 0;
                           for (const auto& way : ways)
                             sum += outcome.trainer->evaluate(shifted(*settings.test, way.first, way.second)).accuracy;
                           pixels.push_back(by);
                           accuracy.push_back(sum / static_cast<double>(ways.size()));
                         }
                         return {{"network", name},
                                 {"parameters", outcome.trainer->model().parameter_count()},
                                 {"seed", seed},
                                 {"pixels", pixels},
                                 {"accuracy", accuracy}};
                       }};
  });
}

}  // namespace

std::vector<Measurement> training_measurements(const std::string& experiment, const ExperimentSettings& settings) {
  if (experiment == "accuracy") return accuracies(settings);
  if (experiment == "batch") return batches(settings);
  if (experiment == "rate") return rates(settings);
  if (experiment == "examples") return examples(settings);
  if (experiment == "curves") return curves(settings);
  if (experiment == "recall") return recalls(settings);
  return shifts(settings);
}

}  // namespace wengert::command::experiment
