#include <wengert/models/predictor.hpp>

#include <wengert/engine/context.hpp>
#include <wengert/ops/fusion/fusions.hpp>

namespace wengert {

namespace {

PlanOptions options_of(const Context& context) {
  PlanOptions options = plan_options(context.choice, context.executor);
  options.tuning = context.tuning;
  return options;
}

}  // namespace

Predictor::Predictor(const Model& model, Index batch) : Predictor(model, batch, options_of(Context::current())) {}

Predictor::Predictor(const Model& model, Index batch, PlanOptions options) {
  const Scope scope;
  Context::current().recording = true;
  Context::current().training = false;
  Tape tape(Tape::Mode::declaring);
  Shape shape{batch};
  for (const Index size : model.image()) shape.push_back(size);
  images_ = tape.batch(Tensor::declared({shape, DType::f32}), "image");
  plan_ = std::make_unique<Plan>(tape, std::vector<Var>{model.network()(images_)}, std::move(options));
}

View Predictor::run() {
  plan_->run();
  return plan_->output(0);
}

}  // namespace wengert
