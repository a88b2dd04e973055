#include <wengert/models/training_step.hpp>

#include <algorithm>

#include <wengert/engine/context.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/data.hpp>
#include <wengert/ops/reduce.hpp>
#include <wengert/ops/softmax.hpp>

namespace wengert {

TrainingStep::TrainingStep(const Model& model, Update& update, Index batch, std::uint64_t seed, PlanOptions options, const ResidentSet* set)
    : update_(&update) {
  Scope scope;
  Context::current().recording = true;
  Tape tape(Tape::Mode::declaring);
  step_ = tape.variable(Tensor::declared({Shape{}, DType::i32}), "step");
  TrainingScope training(seed, step_);
  Shape images{batch};
  for (const Index size : model.image()) images.push_back(size);
  if (set == nullptr) {
    images_ = tape.batch(Tensor::declared({images, DType::f32}), "image");
    labels_ = tape.batch(Tensor::declared({Shape{batch}, DType::i32}), "label");
  } else {
    positions_ = tape.batch(Tensor::declared({Shape{batch}, DType::i32}), "position");
    const GatheredBatch gathered = gather_batch(tape.constant(set->images, "images"), tape.constant(set->labels, "labels"), positions_);
    images_ = gathered.images, labels_ = gathered.labels;
  }
  const Var logits = model.network()(images_);
  const Var losses = softmax_cross_entropy(logits, labels_);
  const Var loss = affine(sum(losses), 1.0 / static_cast<double>(batch)).named("loss");
  scalars_ = update.declare(tape, loss, model.parameters());
  if (options.device != Device{}) {
    totals_.emplace("totals", Shape{3}, Initial::constant(0.0), Parameter::Role::state);
    totals_->to(options.device);
    assign(*totals_, training_totals(tape.parameter(*totals_), losses, logits, labels_));
  }
  plan_ = std::make_unique<Plan>(tape, std::vector<Var>{loss, logits}, std::move(options));
}

TrainingStep::Result TrainingStep::run(Index t, double rate) {
  start(t, rate);
  if (!totals_) return {plan_->item(0), count_right(plan_->output(1), labels())};
  Totals one;
  read(one);
  return {one.loss / static_cast<double>(labels().shape[0]), one.right};
}

void TrainingStep::start(Index t, double rate) {
  update_->set_scalars(scalars_, t, rate, [this](const Var& scalar, double value) { plan_->set(scalar, value); });
  plan_->set(step_, static_cast<double>(t - 1));
  plan_->run();
}

void TrainingStep::read(Totals& totals) {
  const auto take = [&] {
    const Tensor sums = totals_->value();
    totals.loss += sums.at(0);
    totals.right += static_cast<Index>(sums.at(1));
    totals.steps += static_cast<Index>(sums.at(2));
    totals_->set_value(Tensor::zeros({3}));
  };
  try {
    plan_->item(0);  // waits
  } catch (const NotFinite&) {
    take();
    throw;
  }
  take();
}

Index count_right(const View& logits, const View& labels) {
  const Index classes = logits.shape[1];
  Index right = 0;
  for (Index i = 0; i < labels.elements(); ++i) {
    const float* const row = logits.read<float>() + i * classes;
    right += std::max_element(row, row + classes) - row == labels.read<std::int32_t>()[i] ? 1 : 0;
  }
  return right;
}

}  // namespace wengert
