// Training by plans: for any number of workers and order of tasks, on each target, with what may go wrong.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <doctest/doctest.h>

#include <wengert/backends/direct/target.hpp>
#include <wengert/backends/tbb/executor.hpp>
#include <wengert/engine/context.hpp>
#include <wengert/engine/random.hpp>

#include "rendezvous.hpp"
#include "training_support.hpp"

using namespace wengert;
using namespace wengert::test;
using wengert::test::contains, wengert::test::message_of;

namespace {

// Runs tasks in an order of its own, pretending to have several workers.
class OrderedExecutor final : public Executor {
 public:
  enum class Order : std::uint8_t { reversed, shuffled };
  OrderedExecutor(Order order, int workers) : order_(order), workers_(workers) {}
  int workers() const override { return workers_; }
  void run(Index tasks, const std::function<void(Index, int)>& body) override {
    std::vector<Index> order(static_cast<std::size_t>(tasks));
    std::iota(order.begin(), order.end(), Index{0});
    if (order_ == Order::reversed) std::reverse(order.begin(), order.end());
    else order = permutation(tasks, random_stream(++runs_, "order"));
    for (std::size_t i = 0; i < order.size(); ++i) body(order[i], static_cast<int>(i * 5 / 3 % static_cast<std::size_t>(workers_)));
  }

 private:
  Order order_;
  int workers_;
  std::uint64_t runs_ = 0;
};

}  // namespace

TEST_CASE("planned training is bitwise the same for 1, 2, 3, 4 and 8 workers, on every backend and target") {
  const auto check = [](const Network& network, const char* kernel, Index steps) {
    std::vector<Tensor> first;
    for (const int threads : {1, 2, 3, 4, 8}) {
      CAPTURE(direct::target());
      CAPTURE(kernel);
      CAPTURE(threads);
      Rendezvous rendezvous(threads);
      const Op meet = rendezvous.op();
      Training training([&](Var x) { return network(apply(meet, {}, At(x))); }, Adam::report(),
                        plan_options(KernelChoice::parse(kernel), tbb_executor(threads)));
      const std::vector<Tensor> values = training.run(steps);
      CHECK(rendezvous.met() >= threads);
      if (first.empty()) first = values;
      else CHECK(equal_bits(values, first));
    }
  };
  const std::string best = direct::target();
  for (const std::string& target : direct::targets()) {
    direct::set_target(target);
    check(MnistCnn(), "direct", 100);
    check(dropout_and_norm, "direct", 100);
  }
  direct::set_target(best);
  check(MnistCnn(), "auto", 100);
  check(dropout_and_norm, "auto", 100);
  check(MnistCnn(), "naive", 6);
  check(dropout_and_norm, "naive", 30);
  for (const char* kernel : {"matrix", "im2col"}) {
    check(MnistCnn(), kernel, 15);
    check(dropout_and_norm, kernel, 30);
  }
}

TEST_CASE("planned training is bitwise the same for any order of tasks, and with dead memory poisoned") {
  for (const Network& network : {Network(MnistCnn{true}), Network(dropout_and_norm)}) {
    const std::vector<Tensor> wanted = Training(network).run(20);
    for (const auto order : {OrderedExecutor::Order::reversed, OrderedExecutor::Order::shuffled}) {
      Training training(network, Adam::report(), plan_options({}, std::make_shared<OrderedExecutor>(order, 3)));
      CHECK(equal_bits(training.run(20), wanted));
    }
    PlanOptions poisoned = plan_options();
    poisoned.poison = true;
    Training training(network, Adam::report(), poisoned);
    CHECK(equal_bits(training.run(20), wanted));
  }
}

TEST_CASE("planned training on each target that the machine has: one step from the best one's parameters, at 10 points") {
  // Plain SGD without momentum keeps the gradient itself as its velocity. Rounding may decide a ReLU or a maximum of one image otherwise: in
  // one batch of a hundred, so one point of each target is forgiven.
  Sgd plain;
  plain.momentum = 0;
  const std::string best = direct::target();
  for (const Network& network : {Network(MnistCnn{true}), Network(dropout_and_norm)}) {
    for (const std::string& target : direct::targets()) {
      CAPTURE(target);
      Training reference(network, plain);
      direct::set_target(target);
      Training training(network, plain);
      direct::set_target(best);
      Index far = 0;
      for (Index point = 0; point < 10; ++point) {
        CAPTURE(point);
        const std::vector<Tensor> before = values_of(reference.model), after = reference.run(1);
        set_values(training.model, before);  // networks may share their parameters
        training.run(1);
        set_values(reference.model, after);
        CHECK(training.losses.back() == doctest::Approx(reference.losses.back()).epsilon(1e-5));
        const std::vector<Parameter> left = training.update.moments(), right = reference.update.moments();
        double worst = 0;
        for (std::size_t i = 0; i < left.size(); ++i) {
          if (contains(left[i].name(), "conv.bias")) continue;  // a norm follows: its true gradient is 0
          worst = std::max(worst, relative_distance(left[i].value(), right[i].value()));
        }
        if (worst > 1e-4) ++far;
      }
      CHECK(far <= 1);
    }
  }
}

TEST_CASE("a short last batch trains as op by op") {
  const FitOptions one_epoch{.epochs = 1, .examples = 70};
  Trainer planned(MnistCnn{}, Sgd{}, options(32)), eager(MnistCnn{}, Sgd{}, options(32, "auto", true));
  const double a = planned.fit(digits(), one_epoch).epochs[0].loss, b = eager.fit(digits(), one_epoch).epochs[0].loss;
  CHECK(planned.steps() == 3);
  CHECK(a == doctest::Approx(b).epsilon(1e-4));
}

TEST_CASE("plans for training and inference share parameters") {
  const MnistCnn network;
  Training training{network};
  Tape tape(Tape::Mode::declaring);
  const Var x = tape.batch(Tensor::declared({{8, 1, 28, 28}, DType::f32}), "image");
  Plan inference(tape, {network(x)}, plan_options());
  const Dataset::Batch batch = batch_of(3, 8);
  inference.set(x, batch.images);
  for (int round = 0; round < 4; ++round) {
    CAPTURE(round);
    training.run(3);
    inference.run();
    const auto what = differ(inference.value(0), training.model(batch.images), 1e-4);
    CHECK_MESSAGE(!what, what.value_or(""));
    if (round == 2) Parameter(training.model.parameter("conv2.weight")).initialise(5, false);
  }
}

TEST_CASE("parameters set, frozen and thawed between steps") {
  Trainer planned(MnistCnn{}, Sgd{}, options(16)), eager(MnistCnn{}, Sgd{}, options(16, "auto", true));
  for (Index step = 0; step < 12; ++step) {
    CAPTURE(step);
    for (Trainer* trainer : {&planned, &eager}) {
      if (step == 3) trainer->model().freeze("conv");
      if (step == 6) trainer->model().freeze("conv", false);
      if (step == 9)
        trainer->model().parameter("conv2.weight").set_value(random_like({{8, 8, 5, 5}, DType::f32}, "conv2").cast(DType::f32));
    }
    const Tensor before = planned.model().parameter("conv2.weight").value();
    const Dataset::Batch batch = batch_of(step, 16);
    CHECK(planned.step(batch.images, batch.labels) == doctest::Approx(eager.step(batch.images, batch.labels)).epsilon(1e-3));
    const bool frozen = step >= 3 && step < 6;
    CHECK(same_bits(before, planned.model().parameter("conv2.weight").value()) == frozen);
  }
}

TEST_CASE("data that is not finite, and a gradient alone that overflows, stop the plan before parameters change") {
  const auto check = [](const char* what, const Network& network, const std::function<void(Training&)>& spoil,
                        const std::string& message_part) {
    CAPTURE(what);
    Training training(network);
    training.run(2);
    spoil(training);
    const std::vector<Tensor> before = values_of(training.model);
    const std::string message = message_of([&] { training.step->run(3, 1e-3); });
    CHECK_MESSAGE(contains(message, "not finite"), message);
    CHECK_MESSAGE(contains(message, message_part), message);
    CHECK(equal_bits(values_of(training.model), before));
  };
  const auto pixel = [](double value) {
    return [value](Training& training) { training.step->images().write<float>()[100] = static_cast<float>(value); };
  };
  for (const Network& network : {Network(MnistCnn{true}), Network(dropout_and_norm)}) {
    check("NaN", network, pixel(std::nan("")), "[");
    check("infinity", network, pixel(HUGE_VAL), "[");
  }
  // The forward pass and every cotangent are finite; the weight gradient of fc1 is not.
  check(
      "overflow", MnistCnn{true},
      [](Training& training) {
        const auto fill = [&](const char* name, double value) {
          Parameter parameter = training.model.parameter(name);
          parameter.set_value(Tensor::full(parameter.shape(), value));
        };
        fill("conv2.weight", 0), fill("conv2.bias", 1e25), fill("fc1.weight", 1e-28), fill("fc1.bias", 1), fill("fc2.bias", 0);
        Parameter fc2 = training.model.parameter("fc2.weight");
        fc2.set_value(random_like(fc2.value().spec(), "fc2"));
        Tensor large = fc2.value().cast(DType::f64);
        for (Index i = 0; i < large.elements(); ++i) large.mutable_view().write<double>()[i] *= 1e18;
        fc2.set_value(large.cast(DType::f32));
      },
      "");
}
