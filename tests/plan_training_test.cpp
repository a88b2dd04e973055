// Training by plans: against training op by op, for any number of workers and order of tasks, on each target, with what may go wrong.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <numeric>

#include <doctest/doctest.h>

#include <wengert/backends/direct/target.hpp>
#include <wengert/backends/tbb/executor.hpp>
#include <wengert/engine/context.hpp>
#include <wengert/engine/random.hpp>
#include <wengert/models/dataset.hpp>
#include <wengert/models/mnist_cnn.hpp>
#include <wengert/models/script.hpp>
#include <wengert/models/trainer.hpp>
#include <wengert/models/training_step.hpp>

#include "ops_support.hpp"
#include "plan_support.hpp"
#include "rendezvous.hpp"

using namespace wengert;
using namespace wengert::test;
using wengert::testing::contains, wengert::testing::message_of;

namespace {

const Dataset& digits() {
  static const Dataset set = mnist::train().slice(0, 1024);
  return set;
}

Dataset::Batch batch_of(Index step, Index size) {
  std::vector<Index> positions(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = (step * size + static_cast<Index>(i)) % digits().size();
  return digits().gather(positions.data(), size);
}

std::vector<Tensor> values_of(const Model& model) {
  std::vector<Tensor> values;
  for (const Parameter& parameter : model.parameters())
    values.push_back(Tensor::copy(parameter.value().values<float>(), parameter.shape()));
  return values;
}

bool equal_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same_bits);
}

// max |a - b| / max |b - before|: how far two updates of one tensor are apart, relative to the update.
double update_distance(const Tensor& a, const Tensor& b, const Tensor& before) {
  double apart = 0, update = 0;
  for (Index i = 0; i < a.elements(); ++i) {
    apart = std::max(apart, std::abs(a.at(i) - b.at(i)));
    update = std::max(update, std::abs(b.at(i) - before.at(i)));
  }
  return update == 0 ? apart : apart / update;
}

TrainerOptions options(Index batch, const std::string& kernel = "auto", bool eager = false, int threads = 1) {
  TrainerOptions result;
  result.batch = batch;
  result.threads = threads;
  result.kernel = kernel;
  result.eager = eager;
  return result;
}

// One training by plans of a network; run() makes steps and gives the parameters.
struct Training {
  explicit Training(const Network& network, const Optimiser& optimiser = Adam::report(), PlanOptions chosen = plan_options(),
                    Index batch = 32)
      : model(network, {1, 28, 28}), update(optimiser, {}), size(batch) {
    for (Parameter parameter : model.parameters()) parameter.initialise(1, false);  // networks may share them
    step.emplace(model, update, batch, 1, std::move(chosen));
  }

  std::vector<Tensor> run(Index count) {
    for (const Index end = done + count; done < end; ++done) {
      const Dataset::Batch batch = batch_of(done, size);
      std::copy_n(batch.images.values<float>().data(), batch.images.elements(), step->images().write<float>());
      std::copy_n(batch.labels.values<std::int32_t>().data(), batch.labels.elements(), step->labels().write<std::int32_t>());
      losses.push_back(step->run(done + 1, rate_of(update.optimiser())).loss);
    }
    return values_of(model);
  }

  Model model;
  Update update;
  Index size, done = 0;
  std::optional<TrainingStep> step;
  std::vector<double> losses = {};
};

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

std::vector<std::filesystem::path> scripts() {
  std::vector<std::filesystem::path> all;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(WENGERT_SOURCE) + "/tools/scripts")) {
    if (entry.path().extension() == ".toml") all.push_back(entry.path());
  }
  std::sort(all.begin(), all.end());
  return all;
}

Var dropout_and_norm(Var x) {
  static const Conv2d conv("conv", {.in = 1, .out = 9, .size = 3, .stride = 2});
  static const BatchNorm norm("norm", {.channels = 9});
  static const Dropout drop("drop", {.rate = 0.3});
  static const Linear linear("linear", {.in = 9 * 6 * 6, .out = 10});
  x = max_pool2d(relu(norm(conv(x))), {.window = 2});
  return linear(drop(flatten(x)));
}

}  // namespace

TEST_CASE("planned and eager training of every model script: one step from equal parameters, at 20 points") {
  // By plain SGD, whose step is the gradient times the rate: each tensor's update differs by at most 1e-3 of its largest element. Adam would
  // divide rounding noise by its own size where the gradient is nothing else.
  // Where rounding decides a maximum or a ReLU the other way, one image of the 16 moves the update: so 5e-2 bounds the worst element.
  constexpr double bound = 5e-2;
  for (const auto& path : scripts()) {
    CAPTURE(path.filename().string());
    const Script script = read_script(path), again = read_script(path);  // with parameters of its own
    Sgd plain;
    plain.momentum = 0;
    Trainer planned(script.network, plain, options(16, "direct,auto"), script.input),
        eager(again.network, plain, options(16, "direct,auto", true), script.input);
    for (Index point = 0; point < 20; ++point) {
      CAPTURE(point);
      const std::vector<Tensor> before = values_of(planned.model());
      const Dataset::Batch batch = batch_of(point, 16);
      const double a = planned.step(batch.images, batch.labels), b = eager.step(batch.images, batch.labels);
      CHECK(a == doctest::Approx(b).epsilon(1e-5));
      const std::vector<Tensor> left = values_of(planned.model()), right = values_of(eager.model());
      for (std::size_t i = 0; i < left.size(); ++i) {
        const double distance = update_distance(left[i], right[i], before[i]);
        CHECK_MESSAGE(distance <= bound, planned.model().parameters()[i].name() << " differs by " << distance << " of its update");
        Parameter(eager.model().parameters()[i]).set_value(left[i]);
      }
    }
  }
}

TEST_CASE("free-running losses of planned and eager training stay together for 15 steps, with each script's own optimiser") {
  for (const auto& path : scripts()) {
    CAPTURE(path.filename().string());
    const Script script = read_script(path), again = read_script(path);
    Trainer planned(script.network, script.optimiser, options(16), script.input);
    Trainer eager(again.network, script.optimiser, options(16, "auto", true), script.input);
    for (Index step = 0; step < 15; ++step) {
      CAPTURE(step);
      const Dataset::Batch batch = batch_of(step, 16);
      CHECK(planned.step(batch.images, batch.labels) == doctest::Approx(eager.step(batch.images, batch.labels)).epsilon(0.02));
    }
  }
}

TEST_CASE("planned training is bitwise the same for 1, 2, 3, 4 and 8 workers, on every backend") {
  for (const char* kernel : {"auto", "naive", "matrix", "im2col"}) {
    const Index steps = std::string(kernel) == "auto" ? 100 : 4;
    std::vector<Tensor> first;
    for (const int threads : {1, 2, 3, 4, 8}) {
      CAPTURE(kernel);
      CAPTURE(threads);
      Rendezvous rendezvous(threads);
      const Op meet = rendezvous.op();
      const MnistCnn network;
      Training training([&](Var x) { return network(apply(meet, {}, At(x))); }, Adam::report(),
                        plan_options(KernelChoice::parse(kernel), tbb_executor(threads)));
      const std::vector<Tensor> values = training.run(steps);
      CHECK(rendezvous.met() >= threads);
      if (first.empty()) first = values;
      else CHECK(equal_bits(values, first));
    }
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

TEST_CASE("planned training on each target that the machine has stays within bounds of the best one's") {
  const std::string best = direct::target();
  Training reference{MnistCnn{true}};
  reference.run(10);
  for (const std::string& target : direct::targets()) {
    CAPTURE(target);
    direct::set_target(target);
    Training training{MnistCnn{true}};
    const std::vector<Tensor> values = training.run(10);
    direct::set_target(best);
    for (std::size_t i = 0; i < training.losses.size(); ++i)
      CHECK(training.losses[i] == doctest::Approx(reference.losses[i]).epsilon(1e-3));
    CHECK(training.run(0).size() == values.size());
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
