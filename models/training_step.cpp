#include <wengert/models/training_step.hpp>

#include <algorithm>

#include <wengert/engine/context.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/reduce.hpp>
#include <wengert/ops/softmax.hpp>

namespace wengert {

TrainingStep::TrainingStep(const Model& model, Update& update, Index batch, std::uint64_t seed, PlanOptions options) : update_(&update) {
  Scope scope;
  Context::current().recording = true;
  Tape tape(Tape::Mode::declaring);
  step_ = tape.variable(Tensor::declared({Shape{}, DType::i32}), "step");
  TrainingScope training(seed, step_);
  Shape images{batch};
  for (const Index size : model.image()) images.push_back(size);
  images_ = tape.batch(Tensor::declared({images, DType::f32}), "image");
  labels_ = tape.batch(Tensor::declared({Shape{batch}, DType::i32}), "label");
  const Var logits = model.network()(images_);
  const Var losses = softmax_cross_entropy(logits, labels_);
  const Var loss = affine(sum(losses), 1.0 / static_cast<double>(batch)).named("loss");
  scalars_ = update.declare(tape, loss, model.parameters());
  plan_ = std::make_unique<Plan>(tape, std::vector<Var>{loss, logits}, std::move(options));
}

TrainingStep::Result TrainingStep::run(Index t, double rate) {
  update_->set_scalars(scalars_, t, rate, [this](const Var& scalar, double value) { plan_->set(scalar, value); });
  plan_->set(step_, static_cast<double>(t - 1));
  plan_->run();
  return {plan_->item(0), count_right(plan_->output(1), labels())};
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
