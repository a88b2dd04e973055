#include <wengert/models/predictor.hpp>

#include <wengert/engine/context.hpp>
#include <wengert/engine/error.hpp>
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

Predictor::Predictor(const Model& model, Index batch, PlanOptions options) : image_(model.image()) {
  options.device = model.device();
  const Scope scope;
  Context::current().recording = true;
  Context::current().training = false;
  Tape tape(Tape::Mode::declaring);
  Shape shape{batch};
  for (const Index size : model.image()) shape.push_back(size);
  images_ = tape.batch(Tensor::declared({shape, DType::f32}), "image");
  plan_ = std::make_unique<Plan>(tape, std::vector<Var>{model.network()(images_)}, std::move(options));
}

void Predictor::gather(const Dataset& set, const Index* positions, std::int32_t* labels) {
  set.want_images("predict", image_);
  const View to = images();
  set.gather(positions, to.shape[0], to.write<float>(), labels);
}

void Predictor::set_images(const Tensor& images) {
  const View to = this->images();
  if (images.spec() != Spec{to.shape, to.dtype}) {
    fail("[predict] wanted images " + Spec{to.shape, to.dtype}.text() + ", got " + images.spec().text());
  }
  plan_->set(images_, images);
}

View Predictor::run() {
  plan_->run();
  return plan_->output(0);
}

}  // namespace wengert
