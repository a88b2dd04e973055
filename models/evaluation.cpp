#include <wengert/models/evaluation.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>
#include <wengert/models/predictor.hpp>

namespace wengert {

namespace {

// Log-sum-exp of the row minus the label's logit, in f64.
double cross_entropy(const float* row, Index classes, std::size_t label) {
  const double largest = *std::max_element(row, row + classes);
  double sum = 0;
  for (Index c = 0; c < classes; ++c) sum += std::exp(static_cast<double>(row[c]) - largest);
  return std::log(sum) - (static_cast<double>(row[label]) - largest);
}

double ratio(Index part, Index whole) { return static_cast<double>(part) / static_cast<double>(whole); }

}  // namespace

double Evaluation::recall(Index label) const {
  const auto& row = confusion[static_cast<std::size_t>(label)];
  return ratio(row[static_cast<std::size_t>(label)], std::accumulate(row.begin(), row.end(), Index{0}));
}

double Evaluation::precision(Index label) const {
  Index taken = 0;
  for (const auto& row : confusion) taken += row[static_cast<std::size_t>(label)];
  return ratio(confusion[static_cast<std::size_t>(label)][static_cast<std::size_t>(label)], taken);
}

Evaluation evaluate(const Model& model, const Dataset& set, bool eager) {
  if (set.size() == 0) fail("[evaluate] wanted at least one image");
  set.want_images("evaluate", model.image());
  set.want_classes("evaluate", model.classes());
  constexpr Index batch = evaluation_batch;
  const auto classes = static_cast<std::size_t>(model.classes());
  Evaluation result;
  result.images = set.size();
  result.confusion.assign(classes, std::vector<Index>(classes, 0));
  std::vector<Index> positions(static_cast<std::size_t>(set.size()));
  std::iota(positions.begin(), positions.end(), Index{0});
  std::unique_ptr<Predictor> predictor;
  double loss = 0;
  Index right = 0;
  std::vector<std::int32_t> labels(batch);
  for (Index first = 0; first < set.size(); first += batch) {
    const Index count = std::min(batch, set.size() - first);
    Tensor logits;
    if (eager) {
      const Dataset::Batch part = set.gather(positions.data() + first, count);
      logits = model(part.images.to(model.device())).to({});
      std::copy_n(part.labels.values<std::int32_t>().data(), count, labels.data());
    } else {
      if (!predictor || predictor->images().shape[0] != count) predictor = std::make_unique<Predictor>(model, count);
      predictor->gather(set, positions.data() + first, labels.data());
      logits = Tensor::copy(predictor->run().read<float>(), Shape{count, model.classes()});
    }
    for (Index i = 0; i < count; ++i) {
      const float* const row = logits.values<float>().data() + i * model.classes();
      const auto guess = static_cast<std::size_t>(std::max_element(row, row + model.classes()) - row);
      const auto label = static_cast<std::size_t>(labels[static_cast<std::size_t>(i)]);
      ++result.confusion[label][guess];
      right += guess == label ? 1 : 0;
      loss += cross_entropy(row, model.classes(), label);
    }
  }
  result.accuracy = ratio(right, result.images);
  result.loss = loss / static_cast<double>(result.images);
  return result;
}

}  // namespace wengert
