// Evaluation: how a model does on a labelled set.
#pragma once

#include <vector>

#include <wengert/models/dataset.hpp>
#include <wengert/models/model.hpp>

namespace wengert {

struct Evaluation {
  double accuracy = 0;  // a fraction
  double loss = 0;      // mean softmax cross-entropy
  Index images = 0;
  std::vector<std::vector<Index>> confusion = {};  // [true class][predicted class]

  double recall(Index label) const;     // of the images of a class, the fraction recognised; NaN where there is none
  double precision(Index label) const;  // of the images taken for a class, the fraction that is; NaN where there is none
};

constexpr Index evaluation_batch = 250;  // images that evaluate() runs at a time

// On the calling thread's executor, with its kernel choice and tuning; planned, or op by op where `eager`. Throws Error where the images or classes of the set
// do not fit the model.
Evaluation evaluate(const Model& model, const Dataset& set, bool eager = false);

}  // namespace wengert
