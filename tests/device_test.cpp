// Values, plans and trainings on a device: the one that tests/main.cpp has opened, emulated on the host or a real one.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <fstream>

#include <wengert/backends/cuda/emulator/runtime.hpp>
#include <wengert/engine/context.hpp>
#include <wengert/engine/device.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/gradients.hpp>
#include <wengert/models/mnist_cnn.hpp>
#include <wengert/models/script.hpp>
#include <wengert/models/trainer.hpp>
#include <wengert/models/training_step.hpp>
#include <wengert/ops/catalogue.hpp>
#include <wengert/ops/fusion/fusions.hpp>

#include "scratch_folder.hpp"
#include "plan_support.hpp"

using namespace wengert;
using namespace wengert::test;

namespace {

constexpr Device on_cuda{Device::Kind::cuda, 0};

bool close(const Tensor& got, const Tensor& wanted, double bound) {
  const auto what = differ(got.to({}), wanted.to({}), bound);
  if (what) MESSAGE(*what);
  return !what;
}

// Some things can be counted and made to fail there only.
bool is_emulated() {
  return message_of([] { cuda::emulator_counts(*device_runtime(on_cuda)); }) == "no error";
}

Dataset small_set(Index count) { return mnist::train().slice(0, count); }

}  // namespace

TEST_CASE("a tensor goes to a device and comes back; nobody reads it there") {
  const Tensor here{1.0f, 2.0f, 3.0f};
  const Tensor there = here.to(on_cuda);
  CHECK(there.device() == on_cuda);
  CHECK(here.device() == Device{});
  CHECK(same_bits(there.to({}), here));
  CHECK(there.reshape({3, 1}).device() == on_cuda);
  CHECK(contains(there.text(), "on cuda:0"));
  CHECK(contains(message_of<Error>([&] { there.item(); }), "one element"));
  CHECK(contains(message_of<Error>([&] { there.values<float>(); }), "lives on cuda:0"));
  CHECK(contains(message_of<Error>([&] { there.view(); }), "lives on cuda:0"));
  CHECK(contains(message_of<Error>([&] { here.to({Device::Kind::cuda, 7}); }), "cuda:7"));
}

TEST_CASE("an op on values of two devices names them") {
  Tape tape;
  const Var x = tape.variable(Tensor{1.0f, 2.0f}.to(on_cuda), "x"), y = tape.variable(Tensor{1.0f, 2.0f}, "y");
  const std::string message = message_of<Error>([&] { x + y; });
  CHECK(contains(message, "'x' on cuda:0 and 'y' on cpu"));
  CHECK(contains(message, "Tensor::to()"));
}

TEST_CASE("gradients on a device are the host's") {
  const auto gradient = [](Device device) {
    Tape tape;
    const Var x = tape.variable(random_like({{3, 5}, DType::f32}, "x").to(device), "x");
    const Var w = tape.variable(random_like({{4, 5}, DType::f32}, "w").to(device), "w");
    const Var y = sum(tanh(linear(x, w)) * 2.0);
    auto [dx, dw] = gradients<2>(y, {x, w});
    auto [ddx] = gradients<1>(sum(dx * dx), {x});
    return std::vector<Tensor>{dx.value().to({}), dw.value().to({}), ddx.value().to({})};
  };
  const std::vector<Tensor> wanted = gradient({}), got = gradient(on_cuda);
  for (std::size_t i = 0; i < wanted.size(); ++i) CHECK(close(got[i], wanted[i], 1e-5));
}

TEST_CASE("an op without a kernel for the device says so") {
  Tape tape;
  const Var x = tape.variable(Tensor{1.0, 2.0}.to(on_cuda), "x");  // f64
  CHECK(contains(message_of<Error>([&] { relu(x); }), "it has no f64 version"));
}

TEST_CASE("three planned steps of the report's network are those of the host") {
  const Dataset set = small_set(4);
  const Index positions[] = {0, 1, 2, 3};
  const Dataset::Batch batch = set.gather(positions, 4);
  const auto losses = [&](Device device, bool eager, std::vector<Tensor>& parameters) {
    TrainerOptions options;
    options.batch = 4, options.device = device, options.eager = eager;
    Trainer trainer(MnistCnn{}, Adam::report(), options);
    std::vector<double> all;
    for (int step = 0; step < 3; ++step) all.push_back(trainer.step(batch.images, batch.labels));
    for (const Parameter& parameter : trainer.model().parameters()) parameters.push_back(parameter.value());
    return all;
  };
  std::vector<Tensor> on_host, on_device, eagerly;
  const std::vector<double> wanted = losses({}, false, on_host), got = losses(on_cuda, false, on_device),
                            eager = losses(on_cuda, true, eagerly);
  for (std::size_t step = 0; step < wanted.size(); ++step) {
    CHECK(got[step] == doctest::Approx(wanted[step]).epsilon(1e-4));
    CHECK(eager[step] == doctest::Approx(wanted[step]).epsilon(1e-4));
  }
  for (std::size_t p = 0; p < on_host.size(); ++p) CHECK(close(on_device[p], on_host[p], 1e-3));
}

// A convolution, ReLU and pool, another convolution and the gradients of both.
SmallGraph two_convolutions(const Pool2dOptions& pool, const Conv2dOptions& second) {
  return {{images("x", {2, 1, 14, 13}), weights("w1", {3, 1, 3, 3}), weights("b1", {3}), weights("w2", {2, 3, 2, 2})},
          [=](const std::vector<Var>& in) {
            const Var hidden = max_pool2d(relu(conv2d(in[0], in[1]) + reshape(in[2], {1, 3, 1, 1})), pool);
            const Var y = conv2d(relu(hidden), in[3], second);
            const auto [dw1, db1, dw2] = gradients<3>(sum(y * y), {in[1], in[2], in[3]});
            return std::vector<Var>{y, dw1, db1, dw2};
          }};
}

TEST_CASE("a plan on a device fuses what its kernels take, and leaves the rest as it was") {
  PlanOptions on_device = plan_options();
  on_device.device = on_cuda;
  const auto differ_on_device = [&](const SmallGraph& graph) {
    Plan plan = graph.plan(on_device);
    return differ(outputs_of(plan), graph.eager(), plan_bound(DType::f32));
  };
  const SmallGraph taken = two_convolutions({.window = 2}, {});
  CHECK(differ_on_device(taken) == std::nullopt);
  const Plan fused = taken.plan(on_device);
  CHECK(count_of(fused.graph(), "max_pool2d") + count_of(fused.graph(), "put_along") == 0);
  CHECK(count_of(fused.graph(), "winners") == 1);

  const SmallGraph overlapping = two_convolutions({.window = 3, .stride = 2}, {});
  CHECK(differ_on_device(overlapping) == std::nullopt);
  const Plan apart = overlapping.plan(on_device);
  CHECK(count_of(apart.graph(), "max_pool2d") == 1);
  CHECK(noted(apart.graph(), "fuse", "wanted a pool without padding whose window is its stride"));

  const SmallGraph far = two_convolutions({.window = 1}, {.stride = 5});
  CHECK(differ_on_device(far) == std::nullopt);
  CHECK(noted(far.plan(on_device).graph(), "fuse", "wanted a stride of at most 16 pixels"));
}

TEST_CASE("the losses of the first 50 steps are those of the host, to 1e-4") {
  const Dataset set = small_set(200);
  const auto losses_on = [&](Device device) {
    TrainerOptions options;
    options.batch = 4, options.device = device;
    Trainer trainer(MnistCnn{}, Adam::report(), options);
    std::vector<double> losses;
    FitCallbacks callbacks;
    callbacks.batch = [&](const BatchReport& report) {
      losses.push_back(report.loss);
      return true;
    };
    trainer.fit(set, {.epochs = 1}, callbacks);
    return losses;
  };
  const std::vector<double> wanted = losses_on({}), got = losses_on(on_cuda);
  REQUIRE(wanted.size() == 50);
  REQUIRE(got.size() == 50);
  for (std::size_t step = 0; step < wanted.size(); ++step) {
    CAPTURE(step);
    CHECK(std::abs(got[step] - wanted[step]) < 1e-4);
  }
}

TEST_CASE("steps that nobody looks at allocate nothing, fetch nothing and wait for no result") {
  if (!is_emulated()) return;
  const auto counts = [] { return cuda::emulator_counts(*device_runtime(on_cuda)); };
  TrainerOptions options;
  options.batch = 2, options.device = on_cuda;
  Trainer trainer(MnistCnn{}, Adam::report(), options);
  const Dataset set = small_set(100);
  const auto train = [&](Index steps) {
    FitOptions fit;
    fit.steps = steps;
    trainer.fit(set, fit);
    return counts();
  };
  const cuda::EmulatorCounts start = train(6), few = train(3), many = train(9);
  const auto more = [&](Index cuda::EmulatorCounts::*count) { return many.*count - few.*count - (few.*count - start.*count); };
  CHECK(more(&cuda::EmulatorCounts::replays) == 6);
  CHECK(more(&cuda::EmulatorCounts::allocations) == 0);
  CHECK(more(&cuda::EmulatorCounts::pinned_allocations) == 0);
  CHECK(more(&cuda::EmulatorCounts::downloads) == 0);
  CHECK(more(&cuda::EmulatorCounts::copies) == 0);
  CHECK(more(&cuda::EmulatorCounts::uploads) == 6);  // which images, and the rate
  CHECK(more(&cuda::EmulatorCounts::waits) <= 6);    // for the pinned memory of four steps before
}

TEST_CASE("a training that reads its batches from the set on the device: short last batches, reports, evaluation, saved and resumed") {
  const Dataset set = small_set(18);
  const ScratchFolder folder;
  const auto trained = [&](Device device, Index every, Index steps, std::vector<double>& losses) {
    TrainerOptions options;
    options.batch = 8, options.device = device;
    Trainer trainer(MnistCnn{}, Adam::report(), options);
    FitOptions fit;
    fit.epochs = 2, fit.steps = steps;
    FitCallbacks callbacks;
    callbacks.every = every;
    callbacks.batch = [&](const BatchReport& report) {
      losses.push_back(report.loss);
      return true;
    };
    const History history = trainer.fit(set, fit, callbacks);
    trainer.save(folder / "model.safetensors");
    return history.epochs;
  };
  std::vector<double> wanted, got, few;
  const auto host = trained({}, 1, 0, wanted), device = trained(on_cuda, 1, 0, got), seldom = trained(on_cuda, 2, 0, few);
  REQUIRE(got.size() == 6);
  CHECK(few.size() == 4);
  for (std::size_t i = 0; i < wanted.size(); ++i) CHECK(got[i] == doctest::Approx(wanted[i]).epsilon(1e-3));
  for (std::size_t e = 0; e < 2; ++e) {
    CHECK(device[e].loss == doctest::Approx(host[e].loss).epsilon(1e-3));
    CHECK(seldom[e].loss == doctest::Approx(device[e].loss).epsilon(1e-6));
    CHECK(device[e].accuracy == doctest::Approx(host[e].accuracy));
  }
  // Stopped after four steps and resumed it ends with the same bits.
  const std::string whole = slurp(folder / "model.safetensors");
  std::vector<double> first;
  trained(on_cuda, 2, 4, first);
  TrainerOptions options;
  options.batch = 8, options.device = on_cuda;
  Trainer again(MnistCnn{}, Adam::report(), options);
  again.resume(folder / "model.safetensors");
  FitOptions fit;
  fit.epochs = 2;
  again.fit(set, fit);
  again.save(folder / "again.safetensors");
  CHECK(slurp(folder / "again.safetensors") == whole);
  const Evaluation there = again.evaluate(set);
  again.model().to({});
  const Evaluation here = evaluate(again.model(), set);
  CHECK(there.accuracy == here.accuracy);
  CHECK(there.loss == doctest::Approx(here.loss).epsilon(1e-4));
}

TEST_CASE("a value that is not finite stops a training on a device before parameters change, and is named") {
  Dataset set = small_set(24);
  TrainerOptions options;
  options.batch = 8, options.device = on_cuda;
  Trainer trainer(MnistCnn{}, Adam::report(), options);
  FitOptions fit;
  fit.epochs = 1, fit.steps = 1;
  trainer.fit(set, fit);
  Parameter weight = trainer.model().parameter("fc2.weight");
  Tensor broken = weight.value().cast(DType::f32);
  broken.mutable_view().write<float>()[3] = std::numeric_limits<float>::infinity();
  weight.set_value(broken);
  const Tensor before = trainer.model().parameter("conv1.weight").value();
  fit.steps = 0;
  const std::string message = message_of<Error>([&] { trainer.fit(set, fit); });
  CHECK(contains(message, "epoch 1, batch 2 of 3"));
  CHECK(contains(message, "fc2"));
  CHECK(same_bits(trainer.model().parameter("conv1.weight").value(), before));
  CHECK(trainer.steps() == 1);
}

TEST_CASE("a value that is not finite stops the short last batch too, though its plan is another one") {
  Dataset set = small_set(18);
  TrainerOptions options;
  options.batch = 8, options.device = on_cuda;
  const std::vector<Index> order = epoch_order(set.size(), options.seed, 0);
  const Index pixels = set.image().elements();
  auto* const images = set.images.mutable_view().write<std::uint8_t>();
  std::fill_n(images, set.size() * pixels, std::uint8_t{255});
  for (const Index last : {order[16], order[17]})
    std::fill_n(images + last * pixels, pixels, std::uint8_t{0});  // harmless: all values are 0
  Trainer trainer(MnistCnn{}, Adam::report(), options);
  for (const char* const name : {"conv1.weight", "conv2.weight"}) {
    const Shape shape = trainer.model().parameter(name).shape();
    trainer.model().parameter(name).set_value(Tensor::full(shape, 1e30));
  }
  FitOptions fit;
  fit.epochs = 1;
  CHECK(contains(message_of<Error>([&] { trainer.fit(set, fit); }), "epoch 1, batch 1 of 3"));
  CHECK(trainer.steps() == 0);
}

TEST_CASE("a step that is not finite leaves running statistics, too, as they were") {
  Script script = read_script(share_folder() / "scripts" / "resnet.toml");
  script.options.batch = 2, script.options.device = on_cuda;
  Trainer trainer(script.network, script.optimiser, script.options, script.input);
  const Dataset set = small_set(6);
  Parameter first = trainer.model().parameters()[0];
  const Tensor weights = first.value();
  first.set_value(Tensor::full(first.shape(), 1e30));
  std::vector<Tensor> before;
  for (const Parameter& parameter : trainer.model().parameters()) before.push_back(parameter.value());
  CHECK(contains(message_of([&] { trainer.fit(set, {.epochs = 1}); }), "epoch 1, batch 1 of 3"));
  for (std::size_t p = 0; p < before.size(); ++p) {
    CAPTURE(trainer.model().parameters()[p].name());
    CHECK(same_bits(trainer.model().parameters()[p].value(), before[p]));
  }
  first.set_value(weights);
  CHECK_NOTHROW(trainer.fit(set, {.epochs = 1}));
}

TEST_CASE("a training set that has no room on the device comes batch by batch from the host, and somebody is told") {
  if (!is_emulated()) return;
  const Dataset set = small_set(18);
  const auto losses = [&](Device device, Index failing, std::string& told) {
    TrainerOptions options;
    options.batch = 8, options.device = device;
    Trainer trainer(MnistCnn{}, Adam::report(), options);
    FitCallbacks callbacks;
    callbacks.note = [&](const std::string& text) { told += text; };
    if (failing > 0) cuda::fail_allocation(*device_runtime(on_cuda), failing);
    const History history = trainer.fit(set, {.epochs = 2}, callbacks);
    CHECK(trainer.steps() == 6);
    return std::vector<double>{history.epochs[0].loss, history.epochs[1].loss, history.epochs[1].accuracy};
  };
  std::string nothing;
  const std::vector<double> wanted = losses({}, 0, nothing);
  for (const Index failing : {1, 3}) {  // of the images; of the plan's memory beside them
    std::string told;
    const std::vector<double> got = losses(on_cuda, failing, told);
    CHECK_MESSAGE(contains(told, "the training set has no room on cuda:0, so each batch comes from the host"), told);
    for (std::size_t i = 0; i < wanted.size(); ++i) CHECK(got[i] == doctest::Approx(wanted[i]).epsilon(1e-3));
  }
  CHECK(nothing.empty());
}

TEST_CASE("a plan that does not fit says what would") {
  if (!is_emulated()) return;
  const auto small = cuda::emulated_runtime({.index = 5, .memory = 300000});
  open_device(small);
  const Device device{Device::Kind::cuda, 5};
  const SmallGraph graph{{images("x", {64, 2000})}, [](const std::vector<Var>& in) { return std::vector<Var>{sum(tanh(in[0]), {1})}; }};
  PlanOptions options = plan_options();
  options.device = device;
  const std::string message = message_of<OutOfDeviceMemory>([&] { graph.plan(options); });
  CHECK_MESSAGE(contains(message, "that is a plan for 64 images, about "), message);
  close_device(device);
}

TEST_CASE("an error while a plan is recorded leaves it fit for another run") {
  Parameter weight("weight", {4, 3}, Initial::constant(0.5));
  weight.to(on_cuda);
  Tape tape(Tape::Mode::declaring);
  const Var x = tape.variable(Tensor::declared({{2, 3}, DType::f32}), "x");
  const Var y = linear(x, tape.parameter(weight));
  PlanOptions options = plan_options();
  options.device = on_cuda;
  Plan plan(tape, {y}, options);
  plan.set(x, Tensor::full({2, 3}, 2.0, DType::f32));
  plan.run();
  weight.to({});
  CHECK_THROWS_AS(plan.run(), Error);
  weight.to(on_cuda);
  for (int run = 0; run < 3; ++run) {
    plan.run();
    CHECK(plan.value(0).at(0) == 3);
  }
}

TEST_CASE("a recording follows a parameter that it assigns and does not read") {
  Parameter kept("kept", {3}, Initial::constant(1));
  kept.to(on_cuda);
  Tape tape(Tape::Mode::declaring);
  const Var x = tape.variable(Tensor::declared({{3}, DType::f32}), "x");
  assign(kept, x * 2.0);
  PlanOptions options = plan_options();
  options.device = on_cuda;
  Plan plan(tape, {}, options);
  for (const double value : {1.0, 2.0, 3.0}) {
    const Tensor held = kept.tensor();  // whoever holds it keeps it: the parameter moves
    plan.set(x, Tensor::full({3}, value, DType::f32));
    plan.run();
    CHECK(kept.value().at(2) == 2 * value);
    if (value == 2.0) kept.to({}), kept.to(on_cuda);
  }
}

TEST_CASE("a trace of a plan on a device has every call, at the device's own times") {
  Model model(MnistCnn{}, {1, 28, 28});
  model.initialise(1);
  model.to(on_cuda);
  Update update(Adam::report(), {});
  PlanOptions options = plan_options();
  options.device = on_cuda;
  TrainingStep training(model, update, 8, 1, options);
  const double rate = rate_of(update.optimiser());
  training.run(1, rate);
  Plan& plan = training.plan();
  std::vector<TraceEvent> events(plan.events_per_run());
  plan.trace(&events);
  const auto before = std::chrono::steady_clock::now().time_since_epoch().count();
  training.run(2, rate);
  const auto after = std::chrono::steady_clock::now().time_since_epoch().count();
  plan.trace(nullptr);
  std::vector<const TraceEvent*> updates;
  for (const TraceEvent& event : events) {
    REQUIRE(event.step != nullptr);
    CAPTURE(event.step->text());
    CHECK((before <= event.begin && event.begin <= event.end));
    if (is_emulated()) CHECK(event.end <= after);  // another clock, elsewhere
    if (event.step->op->name == "adam") updates.push_back(&event);
  }
  REQUIRE(updates.size() > 1);  // in one launch
  for (const TraceEvent* const one : updates) CHECK((one->begin == updates[0]->begin && one->end == updates[0]->end));
}

// tests/cuda_kernels_test.py compares them with the table of tools/cuda_kernels.py.
TEST_CASE("the launches of a training step of 64 images") {
  const auto idle = cuda::emulated_runtime({.index = 6, .idle = true});
  open_device(idle);
  const Device device{Device::Kind::cuda, 6};
  TrainerOptions options;
  options.device = device;
  {
    Trainer trainer(MnistCnn{}, Adam::report(), options);
    FitOptions fit;
    fit.steps = 1, fit.epochs = 1;
    trainer.fit(small_set(options.batch), fit);
  }
  const auto most = cuda::emulator_counts(*idle).most;
  CHECK(most.size() > 10);
  if (const char* const path = std::getenv("WENGERT_LAUNCHES")) {
    std::ofstream file(path);
    for (const auto& [type, grid] : most) file << type << ' ' << grid.threads << ' ' << grid.shared_bytes << '\n';
  }
  close_device(device);
}

TEST_CASE("products that the vendor's library makes, in a plan that is recorded and replayed") {
  const SmallGraph graph{{weights("x", {656, 800}), weights("w", {128, 800})}, [](const std::vector<Var>& in) {
                           const Var y = linear(in[0], in[1]);
                           const auto [dx, dw] = gradients<2>(sum(y * y), {in[0], in[1]});
                           return std::vector<Var>{sum(y), sum(dx), sum(dw)};
                         }};
  PlanOptions options = plan_options();
  options.device = on_cuda;
  Plan plan = graph.plan(options);
  const std::vector<Tensor> first = outputs_of(plan), second = outputs_of(plan), third = outputs_of(plan), wanted = graph.eager();
  for (std::size_t o = 0; o < wanted.size(); ++o) {
    CHECK(close(first[o], wanted[o].cast(DType::f32), 1e-3));
    CHECK(same_bits(first[o], second[o]));
    CHECK(same_bits(first[o], third[o]));
  }
}

TEST_CASE("an op that has no room on a device is named") {
  if (!is_emulated()) return;
  Tape tape;
  const Var x = tape.variable(Tensor{1.0f, 2.0f}.to(on_cuda), "x");
  cuda::fail_allocation(*device_runtime(on_cuda), 1);
  const std::string message = message_of<OutOfDeviceMemory>([&] { tanh(x); });
  CHECK_MESSAGE((contains(message, "[tanh") && contains(message, "out of memory")), message);
}

TEST_CASE("a plan wants its parameters on its device") {
  TrainerOptions options;
  options.device = on_cuda, options.batch = 4;
  Trainer trainer(MnistCnn{}, Adam::report(), options);
  trainer.model().parameter("conv1.weight").to({});
  const Dataset set = small_set(4);
  const std::string message = message_of<Error>([&] { trainer.fit(set, {.epochs = 1}); });
  CHECK_MESSAGE(contains(message, "wanted parameter 'conv1.weight' on cuda:0, it lives on cpu"), message);
}

TEST_CASE("every script's network trains on a device as on the host") {
  for (const char* const name : {"mnist_cnn", "lenet5", "mlp", "resnet"}) {
    CAPTURE(name);
    const auto loss_of = [&](Device device) {
      Script script = read_script(share_folder() / "scripts" / (std::string(name) + ".toml"));
      script.options.batch = 2, script.options.device = device;
      Trainer trainer(script.network, script.optimiser, script.options, script.input);
      const Index positions[] = {0, 1};
      const Dataset::Batch batch = small_set(2).gather(positions, 2);
      double loss = 0;
      for (int step = 0; step < 2; ++step) loss = trainer.step(batch.images, batch.labels);
      return loss;
    };
    CHECK(loss_of(on_cuda) == doctest::Approx(loss_of({})).epsilon(1e-3));
  }
}
