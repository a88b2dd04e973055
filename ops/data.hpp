// A training step that reads its batch from a data set and adds up what it reports: both stay on the device on which the step runs.
#pragma once

#include <wengert/engine/tape.hpp>

namespace wengert {

// images u8 (n,C,H,W), labels i32 (n), positions i32 (N) -> f32 (N,C,H,W) / 255 and i32 (N): the batch. Constants to gradients. A position outside
// [0,n) is an Error; on a device it gives NaN and the label -1.
struct GatheredBatch {
  Var images, labels;
};
GatheredBatch gather_batch(const At& images, const Var& labels, const Var& positions);

// totals (3) + (the sum of losses (N), the number of rows of logits (N,C) whose first maximum stands at the label, 1). On a device it is an update:
// it does nothing where a plan has found a value that is not finite.
Var training_totals(const At& totals, const Var& losses, const Var& logits, const Var& labels);

std::vector<Op> data_ops();

}  // namespace wengert
