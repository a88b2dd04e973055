#include <wengert/models/evaluation.hpp>

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include <wengert/engine/context.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/ops/softmax.hpp>

namespace wengert {

namespace {

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

Evaluation evaluate(const Model& model, const Dataset& set) {
  if (set.size() == 0) fail("[evaluate] wanted at least one image");
  if (set.classes > model.classes()) {
    fail(fmt::format("[evaluate] wanted labels in [0,{}), the set has {} classes", model.classes(), set.classes));
  }
  constexpr Index batch = 250;
  const auto classes = static_cast<std::size_t>(model.classes());
  Evaluation result;
  result.images = set.size();
  result.confusion.assign(classes, std::vector<Index>(classes, 0));
  std::vector<Index> positions(static_cast<std::size_t>(set.size()));
  std::iota(positions.begin(), positions.end(), Index{0});
  NoRecording scope;
  double loss = 0;
  Index right = 0;
  for (Index first = 0; first < set.size(); first += batch) {
    const Index count = std::min(batch, set.size() - first);
    const Dataset::Batch part = set.gather(positions.data() + first, count);
    const Tensor logits = model(part.images);
    const Tensor losses = softmax_cross_entropy(Var(logits, true), Var(part.labels, true)).value();
    for (Index i = 0; i < count; ++i) {
      const float* const row = logits.values<float>().data() + i * model.classes();
      const auto guess = static_cast<std::size_t>(std::max_element(row, row + model.classes()) - row);
      const auto label = static_cast<std::size_t>(part.labels.values<std::int32_t>()[static_cast<std::size_t>(i)]);
      ++result.confusion[label][guess];
      right += guess == label ? 1 : 0;
      loss += static_cast<double>(losses.values<float>()[static_cast<std::size_t>(i)]);
    }
  }
  result.accuracy = ratio(right, result.images);
  result.loss = loss / static_cast<double>(result.images);
  return result;
}

}  // namespace wengert
