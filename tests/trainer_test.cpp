// Training the report's network: sizes, losses, repeatability for any number of workers, resuming, fine-tuning, errors.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <fstream>
#include <limits>
#include <map>
#include <thread>

#include <doctest/doctest.h>

#include <wengert/backends/direct/target.hpp>
#include <wengert/backends/tbb/executor.hpp>
#include <wengert/engine/context.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/models/dataset.hpp>
#include <wengert/models/layers.hpp>
#include <wengert/models/mnist_cnn.hpp>
#include <wengert/models/predictor.hpp>
#include <wengert/models/trainer.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/reduce.hpp>

#include "rendezvous.hpp"
#include "scratch_folder.hpp"

using namespace wengert;
using wengert::test::Rendezvous, wengert::test::ScratchFolder;

namespace {

const Dataset& digits() {
  static const Dataset set = mnist::train().slice(0, 2000);
  return set;
}

TrainerOptions options(Index batch = 32, int threads = 2) {
  TrainerOptions result;
  result.batch = batch;
  result.threads = threads;
  return result;
}

FitOptions steps(Index count, Index epochs = 2) {
  FitOptions result;
  result.epochs = epochs;
  result.steps = count;
  result.examples = 500;
  return result;
}

bool same_bits(const Model& a, const Model& b) {
  for (std::size_t i = 0; i < a.parameters().size(); ++i) {
    const Tensor left = a.parameters()[i].value(), right = b.parameters()[i].value();
    if (!std::ranges::equal(left.values<float>(), right.values<float>())) return false;
  }
  return true;
}

// Bytes that this program has read so far, as Linux counts them; -1 where it does not.
Index bytes_read() {
  std::ifstream counters("/proc/self/io");
  std::string name;
  Index count = -1;
  counters >> name >> count;
  return count;
}

}  // namespace

TEST_CASE("the report's network has 105,496 parameters, 105,634 with the linear layers' biases") {
  CHECK(Model(MnistCnn{}, {1, 28, 28}).parameter_count() == 105496);
  CHECK(Model(MnistCnn{true}, {1, 28, 28}).parameter_count() == 105634);
}

TEST_CASE("losses of the first ten steps on MNIST, on naive kernels and on each vector target within its bound") {
  const std::vector<double> stored = {2.5468256, 2.1881566, 2.1015387, 2.0054870, 1.9345934,
                                      1.7706299, 1.6291006, 1.5981466, 1.5011289, 1.4806547};  // of naive kernels, op by op
  const auto losses_of = [](const TrainerOptions& chosen) {
    Trainer trainer(MnistCnn{}, Adam::report(), chosen);
    std::vector<double> losses;
    FitCallbacks callbacks;
    callbacks.batch = [&](const BatchReport& report) {
      losses.push_back(report.loss);
      return true;
    };
    trainer.fit(mnist::train(), {.epochs = 1, .validation = 5000, .steps = 10}, callbacks);
    return losses;
  };
  const auto check = [&](const std::string& name, double bound, const std::vector<double>& losses) {
    CAPTURE(name);
    REQUIRE(losses.size() == stored.size());
    for (std::size_t i = 0; i < stored.size(); ++i) {
      CAPTURE(i);
      CHECK(losses[i] == doctest::Approx(stored[i]).epsilon(bound));
    }
  };
  TrainerOptions naive = options(64);
  naive.kernel = "naive";
  naive.eager = true;
  check("naive", 2e-6, losses_of(naive));
  // Planned, sums in another order: 4e-7 apart where measured (AVX2, SSE4); with Winograd's algorithm 3e-5 (SSE4).
  constexpr double direct_bound = 2e-5, bound = 1e-4;
  const std::string best = direct::target();
  for (const std::string& target : direct::targets()) {
    direct::set_target(target);
    TrainerOptions direct_only = options(64);
    direct_only.kernel = "direct,auto";
    const std::vector<double> losses = losses_of(options(64)), of_direct = losses_of(direct_only);
    direct::set_target(best);
    check(target, bound, losses);
    check(target + ", direct", direct_bound, of_direct);
  }
}

TEST_CASE("eager training is bitwise the same for 1, 2, 3, 4 and 8 workers, on every backend") {  // planned: plan_training_test.cpp
  for (const char* kernel : {"naive", "matrix", "im2col", "auto"}) {
    std::optional<Trainer> first;
    for (const int threads : {1, 2, 3, 4, 8}) {
      CAPTURE(kernel);
      CAPTURE(threads);
      Rendezvous rendezvous(threads);
      const Op meet = rendezvous.op();
      const MnistCnn network;
      TrainerOptions chosen = options(32, threads);
      chosen.kernel = kernel;
      chosen.eager = true;
      Trainer trainer([&](Var x) { return network(apply(meet, {}, At(x))); }, Adam::report(), chosen);
      trainer.fit(digits(), steps(3));
      CHECK(rendezvous.met() >= threads);
      if (first) CHECK(same_bits(first->model(), trainer.model()));
      else first.emplace(std::move(trainer));
    }
  }
}

TEST_CASE("a training interrupted in mid-epoch and resumed ends with the bits of the uninterrupted one") {
  const ScratchFolder folder;
  const auto path = folder.path() / "half.safetensors";
  Trainer whole(MnistCnn{}, Adam::report(), options());
  whole.fit(digits(), steps(25));
  Trainer half(MnistCnn{}, Adam::report(), options());
  half.fit(digits(), steps(7));
  half.save(path);
  Trainer rest(MnistCnn{}, Adam::report(), options(32, 1));
  rest.resume(path);
  rest.fit(digits(), steps(18));
  CHECK(whole.steps() == rest.steps());
  CHECK(same_bits(whole.model(), rest.model()));

  Trainer other_batch(MnistCnn{}, Adam::report(), options(16));
  CHECK_THROWS_WITH_AS(other_batch.resume(path), doctest::Contains("wanted batch '32'"), Error);
  TrainerOptions cosine = options();
  cosine.schedule.kind = Schedule::Kind::cosine;
  Trainer other_schedule(MnistCnn{}, Adam::report(), cosine);
  CHECK_THROWS_WITH_AS(other_schedule.resume(path), doctest::Contains("wanted schedule 'constant'"), Error);
  Trainer other_optimiser(MnistCnn{}, Sgd{}, options());
  CHECK_THROWS_WITH_AS(other_optimiser.resume(path), doctest::Contains("optimiser"), Error);
}

TEST_CASE("patience and keep_best look back over an interruption, and an epoch's means are over all its batches") {
  const ScratchFolder folder;
  const auto stopped = folder.path() / "stopped.safetensors", ended = folder.path() / "ended.safetensors";
  Adam restless;  // fast enough for the validation loss to rise again
  restless.rate = 0.02;
  FitOptions choosing;
  choosing.epochs = 12;
  choosing.examples = 400;
  choosing.validation = 30;
  choosing.patience = 2;
  choosing.keep_best = true;
  constexpr Index batches = 12;  // an epoch, the last one short

  Trainer whole(MnistCnn{}, restless, options());
  const History history = whole.fit(digits(), choosing);
  whole.save(ended);
  REQUIRE(history.stopped);
  REQUIRE(history.steps < batches * choosing.epochs);
  double best = 0;
  for (const EpochReport& epoch : history.epochs) best = std::max(best, *epoch.validation_accuracy);
  REQUIRE(best > *history.epochs.back().validation_accuracy);
  CHECK(whole.evaluate(digits().slice(370, 30)).accuracy == best);

  for (const Index stop : {Index{6}, 2 * batches, 3 * batches + 6, history.steps - batches, history.steps}) {
    CAPTURE(stop);
    FitOptions part = choosing;
    part.steps = stop;
    Trainer first(MnistCnn{}, restless, options());
    std::vector<EpochReport> epochs = first.fit(digits(), part).epochs;
    first.save(stopped);
    Trainer rest(MnistCnn{}, restless, options());
    rest.resume(stopped);
    const History after = rest.fit(digits(), choosing);
    epochs.insert(epochs.end(), after.epochs.begin(), after.epochs.end());
    CHECK(after.stopped);
    rest.save(stopped);
    CHECK(test::slurp(stopped) == test::slurp(ended));
    REQUIRE(epochs.size() == history.epochs.size());
    for (std::size_t i = 0; i < epochs.size(); ++i) {
      CAPTURE(i);
      CHECK(epochs[i].loss == history.epochs[i].loss);
      CHECK(epochs[i].accuracy == history.epochs[i].accuracy);
      CHECK(epochs[i].validation_loss == history.epochs[i].validation_loss);
    }
  }
}

TEST_CASE("resuming reads the file once") {
  const ScratchFolder folder;
  const auto path = folder.path() / "model.safetensors";
  Trainer trainer(MnistCnn{}, Adam::report(), options());
  trainer.fit(digits(), steps(1));
  trainer.save(path);
  const Index before = bytes_read();
  if (before < 0) return;
  trainer.resume(path);
  CHECK(bytes_read() - before < static_cast<Index>(std::filesystem::file_size(path)) * 3 / 2);
}

TEST_CASE("a rate group's parameters move by its factor times what they would, op by op and planned") {
  const Index positions[] = {0, 1, 2, 3, 4, 5, 6, 7};
  const Dataset::Batch batch = digits().gather(positions, 8);
  for (const bool eager : {false, true}) {
    const auto moves = [&](const std::vector<RateGroup>& groups) {  // of each parameter, by one step
      TrainerOptions chosen = options(8, 1);
      chosen.eager = eager;
      chosen.rate_groups = groups;
      Trainer trainer(MnistCnn{}, Sgd{.rate = 0.05, .momentum = 0.0}, chosen);
      std::map<std::string, std::vector<double>> result;
      for (const Parameter& p : trainer.model().parameters())
        for (const float value : p.value().values<float>()) result[p.name()].push_back(-value);
      trainer.step(batch.images, batch.labels);
      for (const Parameter& p : trainer.model().parameters())
        for (Index i = 0; i < p.shape().elements(); ++i) result[p.name()][static_cast<std::size_t>(i)] += p.value().at(i);
      return result;
    };
    // The first prefix that fits decides; fc1 is in no group.
    const auto plain = moves({}), grouped = moves({{"conv1.bias", 3.0}, {"conv", 0.25}, {"fc2", 0.0}});
    for (const auto& wanted :
         {std::pair("conv1.weight", 0.25), {"conv1.bias", 3.0}, {"conv2.weight", 0.25}, {"fc1.weight", 1.0}, {"fc2.weight", 0.0}}) {
      const std::string name = wanted.first;
      const double factor = wanted.second;
      CAPTURE(eager);
      CAPTURE(name);
      double largest = 0, furthest = 0;
      for (std::size_t i = 0; i < plain.at(name).size(); ++i) {
        largest = std::max(largest, std::abs(plain.at(name)[i]));
        furthest = std::max(furthest, std::abs(grouped.at(name)[i] - factor * plain.at(name)[i]));
      }
      CHECK(largest > 1e-4);
      CHECK(furthest <= 1e-3 * largest);  // the rounding of a weight of size 1 against its move
    }
  }
}

TEST_CASE("frozen parameters keep their values, and a part of a model loads into another") {
  const ScratchFolder folder;
  const auto path = folder.path() / "model.safetensors";
  Trainer trainer(MnistCnn{}, Adam::report(), options());
  CHECK(trainer.model().freeze("conv") == 4);
  const Tensor before = trainer.model().parameter("conv1.weight").value();
  const Tensor trained_before = trainer.model().parameter("fc1.weight").value();
  trainer.fit(digits(), steps(2));
  CHECK(std::ranges::equal(before.values<float>(), trainer.model().parameter("conv1.weight").value().values<float>()));
  CHECK_FALSE(std::ranges::equal(trained_before.values<float>(), trainer.model().parameter("fc1.weight").value().values<float>()));
  trainer.save(path);

  Model biased(MnistCnn{true}, {1, 28, 28});
  CHECK_THROWS_WITH_AS(biased.load(path), doctest::Contains("missing [fc1.bias, fc2.bias]"), Error);
  const LoadReport report = biased.load(path, false);
  CHECK(report.loaded.size() == 6);
  CHECK(report.missing == std::vector<std::string>{"fc1.bias", "fc2.bias"});
  CHECK_THROWS_WITH_AS(biased.parameter("fc1.wieght"), doctest::Contains("did you mean 'fc1.weight'"), Error);
}

TEST_CASE("a loss that is not finite stops with the node and the batch, and the parameters stay") {
  Trainer trainer(MnistCnn{}, Adam::report(), options());
  Parameter weight = trainer.model().parameter("fc1.weight");
  weight.set_value(Tensor::full(weight.shape(), std::numeric_limits<double>::quiet_NaN()));
  const doctest::Contains place("[train] epoch 1, batch 1 of 16: the loss is not finite: [parameter 'fc1.weight'");
  CHECK_THROWS_WITH_AS(trainer.fit(digits(), steps(3)), place, Error);
  CHECK(trainer.steps() == 0);
}

TEST_CASE("a value that the loss does not see stops the plan, and no step is taken") {
  // The sum overflows, its reciprocal is 0: the loss and its gradients are finite.
  const MnistCnn digits_net;
  const Network hidden = [digits_net](const Var& x) {
    const Var overflow = sum(affine(stop_gradient(x), 1e38));
    return digits_net(x) + Var(Tensor::scalar(1.0)) / overflow;
  };
  Trainer trainer(hidden, Adam::report(), options());
  const Parameter weight = trainer.model().parameter("fc1.weight");
  const Tensor before = Tensor::copy(weight.value().values<float>(), weight.shape());
  CHECK_THROWS_WITH_AS(trainer.fit(digits(), steps(1)), doctest::Contains("gives a value that is not finite"), Error);
  CHECK(trainer.steps() == 0);
  CHECK(std::ranges::equal(before.values<float>(), weight.value().values<float>()));
}

TEST_CASE("a step that fails leaves running statistics as they were, planned or eager") {
  const BatchNorm norm("norm", {.channels = 1});
  const Linear last("last", {.in = 28 * 28, .out = 10});
  const Network network = [norm, last](const Var& x) { return last(flatten(norm(x))); };
  for (const bool eager : {false, true}) {
    TrainerOptions chosen = options();
    chosen.eager = eager;
    Trainer trainer(network, Adam::report(), chosen);
    Parameter weight = trainer.model().parameter("last.weight");
    weight.set_value(Tensor::full(weight.shape(), std::numeric_limits<double>::infinity()));
    CHECK_THROWS_WITH_AS(trainer.fit(digits(), steps(1)), doctest::Contains("not finite"), Error);
    CHECK(trainer.model().parameter("norm.mean").value().at(0) == 0.0);
    CHECK(trainer.model().parameter("norm.variance").value().at(0) == 1.0);
  }
}

TEST_CASE("a predictor takes images of its model's shape only") {
  const Model model(MnistCnn{}, {1, 28, 28});
  Predictor predictor(model, 2);
  Dataset large;
  large.images = Tensor::full({4, 1, 64, 64}, 255, DType::u8);
  large.labels = Tensor::full({4}, 0, DType::i32);
  large.source = "memory";
  const Index positions[] = {0, 1};
  std::int32_t labels[2] = {};
  CHECK_THROWS_WITH_AS(predictor.gather(large, positions, labels), "[predict] wanted images (1,28,28), the set memory has (1,64,64)",
                       Error);
  CHECK_THROWS_WITH_AS(predictor.set_images(Tensor::full({2, 1, 64, 64}, 0)),
                       doctest::Contains("[predict] wanted images f32 (2,1,28,28), got"), Error);
  predictor.gather(digits(), positions, labels);
  const Tensor planned = Tensor::copy(predictor.run().read<float>(), Shape{2, 10});
  const Dataset::Batch batch = digits().gather(positions, 2);
  predictor.set_images(batch.images);
  CHECK(std::ranges::equal(planned.values<float>(), Tensor::copy(predictor.run().read<float>(), Shape{2, 10}).values<float>()));
}

TEST_CASE("bad sizes are refused with what was wanted and what came") {
  CHECK_THROWS_WITH_AS(Trainer(MnistCnn{}, Adam{}, options(0)), doctest::Contains("wanted a batch of at least 1, got 0"), Error);
  Trainer trainer(MnistCnn{}, Adam{}, options());
  CHECK_THROWS_WITH_AS(trainer.fit(digits(), {.epochs = 1, .examples = 100000}),
                       doctest::Contains("wanted 100000 examples, the set MNIST has 2000"), Error);
  CHECK_THROWS_WITH_AS(trainer.fit(digits(), {.epochs = 1, .examples = 10, .validation = 10}), doctest::Contains("fewer validation images"),
                       Error);
  CHECK_THROWS_WITH_AS(Model(MnistCnn{}, {3, 28, 28}), doctest::Contains("[conv2d 'conv1'"), Error);
  CHECK_THROWS_WITH_AS(Model(MnistCnn{}, {3, 28, 28}), doctest::Contains("wanted input (N,1,H,W), got (2,3,28,28) from 'image'"), Error);
}

TEST_CASE("several threads run one model at once, and an exception crosses the pool whole") {
  const Model model(MnistCnn{}, {1, 28, 28});
  const Index positions[] = {0, 1, 2, 3};
  const Dataset::Batch batch = digits().gather(positions, 4);
  const Tensor alone = model(batch.images);
  std::atomic<int> equal{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] { equal += std::ranges::equal(alone.values<float>(), model(batch.images).values<float>()) ? 1 : 0; });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(equal == 4);

  const auto executor = tbb_executor(2);
  CHECK_THROWS_WITH_AS(executor->run(16,
                                     [](Index task, int) {
                                       if (task == 7) throw Error("task 7");
                                     }),
                       "task 7", Error);
}

TEST_CASE("schedules") {
  CHECK(Schedule{}.at(7, 10, 5) == 1.0);
  CHECK(Schedule{.kind = Schedule::Kind::step, .factor = 0.5, .every = 2}.at(20, 100, 5) == 0.25);
  CHECK(Schedule{.kind = Schedule::Kind::cosine}.at(50, 100, 5) == doctest::Approx(0.5));
  CHECK(Schedule{.kind = Schedule::Kind::one_cycle}.at(30, 100, 5) == doctest::Approx(1.0));
  CHECK(Schedule{.warm_up = 4}.at(1, 100, 5) == 0.5);
}

TEST_CASE("numbers that no training can use are refused") {
  const auto refuses = [](const char* says, const Optimiser& optimiser, const TrainerOptions& chosen) {
    CHECK_THROWS_WITH_AS(Trainer(MnistCnn{}, optimiser, chosen), doctest::Contains(says), Error);
  };
  refuses("a rate of at least 0, got nan", Adam{.rate = std::nan("")}, options());
  refuses("Adam's beta1 in [0,1), got 1", Adam{.beta1 = 1.0}, options());
  refuses("Adam's epsilon above 0, got 0", Adam{.epsilon = 0.0}, options());
  refuses("a momentum in [0,1), got -1", Sgd{.momentum = -1.0}, options());
  refuses("a batch of at most 2147483648", Adam{}, options(std::numeric_limits<Index>::max()));
  TrainerOptions chosen = options();
  chosen.schedule.every = 0;
  refuses("every 1 or more epochs, got 0", Adam{}, chosen);
  chosen = options();
  chosen.rate_groups = {{"conv", -1.0}};
  refuses("a rate factor of at least 0 for 'conv'", Adam{}, chosen);
  Trainer trainer(MnistCnn{}, Adam{}, options());
  CHECK_THROWS_WITH_AS(trainer.fit(digits(), {.epochs = std::numeric_limits<Index>::max()}), doctest::Contains("of at most 2147483648"),
                       Error);
  CHECK_THROWS_WITH_AS(trainer.fit(digits(), {.patience = 1}), doctest::Contains("wanted validation images for patience or keep_best"),
                       Error);
  CHECK_THROWS_WITH_AS(Linear("l", {.in = 1, .out = Index{1} << 40}), doctest::Contains("[linear 'l'] wanted out in [1,2147483648]"),
                       Error);
  CHECK_THROWS_WITH_AS(Conv2d("c", {.in = 1, .out = 1 << 30, .size = 1 << 30}),
                       doctest::Contains("[conv2d 'c'] wanted at most 2^40 weights"), Error);
  CHECK_THROWS_WITH_AS(digits().slice(1, std::numeric_limits<Index>::max()), doctest::Contains("of a set of 2000"), Error);
  const Index beyond[] = {0, 2000};
  CHECK_THROWS_WITH_AS(digits().gather(beyond, 2), doctest::Contains("wanted positions in [0,2000), got 2000"), Error);
}

TEST_CASE("a training resumes on its own data only") {
  const ScratchFolder folder;
  const auto path = folder.path() / "model.safetensors";
  Trainer trainer(MnistCnn{}, Adam::report(), options());
  trainer.fit(digits(), steps(1));
  trainer.save(path);
  Dataset other = digits();
  other.source = "elsewhere";
  other.labels = other.labels.rows(0, other.size());
  other.labels.mutable_view().write<std::int32_t>()[1999] ^= 1;
  Trainer resumed(MnistCnn{}, Adam::report(), options());
  resumed.resume(path);
  CHECK_THROWS_WITH_AS(resumed.fit(other, steps(1)),
                       doctest::Contains("wanted the data of the resumed training, MNIST (2000 images, hash "), Error);
  CHECK(resumed.steps() == 1);
  CHECK(resumed.fit(digits(), steps(1)).steps == 1);
}
