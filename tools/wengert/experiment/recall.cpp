// Experiments recall: what a training confuses; and shift: what a shift of the digits does to it, and to a network without convolutions.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "training.hpp"

namespace wengert::command::experiment {

namespace {

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

double training_seconds(const Training& training) {
  return static_cast<double>(training.script.fit.epochs) * epoch_seconds(training.script.options.batch);
}

}  // namespace

std::vector<Measurement> recall_measurements(const ExperimentSettings& settings) {
  const Training training(settings, settings.seed);
  return {{"recall", fmt::format("recall/{}", settings.seed), "recall: training and confusion", training_seconds(training),
           [settings, training]() -> Json {
             const Outcome outcome = run(settings, training);
             Json row = {{"seed", settings.seed}, {"accuracy", outcome.accuracy_or_null()}, {"note", outcome.failure}};
             if (!outcome.failure.empty()) return row;
             constexpr std::size_t most = 24;
             row["confusion"] = outcome.trainer->evaluate(*settings.test).confusion;
             row["worst"] = worst_of(outcome.trainer->model(), *settings.test, most);
             return row;
           }}};
}

std::vector<Measurement> shift_measurements(const ExperimentSettings& settings) {
  std::vector<Measurement> list;
  for (const char* const name : {"cnn", "mlp"})
    for (const std::uint64_t seed : seeds_of(settings)) {
      Training training(settings, seed);
      if (name == std::string_view("mlp")) training.script.network = perceptron();
      list.push_back(
          {"shift", fmt::format("shift/{}/{}", name, seed), fmt::format("shift {}, seed {}", name, seed), training_seconds(training) + 3,
           [settings, training, name, seed]() -> Json {
             const Outcome outcome = run(settings, training);
             std::vector<Index> pixels;
             std::vector<double> accuracy;
             const Index most = settings.quick ? 2 : 6;
             for (Index by = 0; by <= most && outcome.failure.empty(); ++by) {
               using Way = std::pair<Index, Index>;
               const std::vector<Way> ways = by == 0 ? std::vector<Way>{{0, 0}} : std::vector<Way>{{by, 0}, {-by, 0}, {0, by}, {0, -by}};
               double sum = 0;
               for (const auto& [rows, columns] : ways) sum += outcome.trainer->evaluate(shifted(*settings.test, rows, columns)).accuracy;
               pixels.push_back(by);
               accuracy.push_back(sum / static_cast<double>(ways.size()));
             }
             return {{"network", name},      {"parameters", outcome.trainer->model().parameter_count()},
                     {"seed", seed},         {"pixels", pixels},
                     {"accuracy", accuracy}, {"note", outcome.failure}};
           }});
    }
  return list;
}

}  // namespace wengert::command::experiment
