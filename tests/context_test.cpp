// What surrounds a call: catalogues, kernel choices, scopes, subnormal numbers.
#include <doctest/doctest.h>

#include <thread>

#include <wengert/backends/tbb/executor.hpp>
#include <wengert/engine/context.hpp>
#include <wengert/engine/gradients.hpp>
#include <wengert/ops/activation.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/catalogue.hpp>
#include <wengert/ops/reduce.hpp>

#include "ops_support.hpp"
#include "rendezvous.hpp"

using namespace wengert;
using wengert::test::contains;
using wengert::test::message_of;

TEST_CASE("an op that is replaced is the one that a tape uses, and nothing else changes") {
  Catalogue catalogue = builtin_catalogue();
  const std::vector<std::string> names = catalogue.names();
  Op op = catalogue.at("tanh");
  op.vjp = [](const VjpCall& call) { return std::vector<Var>{call.cotangent() * 7.0}; };
  catalogue.replace(op);
  CHECK(catalogue.names() == names);
  Tape changed(catalogue), usual;
  const Var x = changed.variable({0.0}, "x"), z = usual.variable({0.0}, "z");
  CHECK(gradients<1>(sum(tanh(x)), {x})[0].item() == 7);
  CHECK(gradients<1>(sum(tanh(z)), {z})[0].item() == 1);
  op.name = "tan";
  CHECK(contains(message_of([&] { catalogue.replace(op); }), "did you mean 'tanh'"));
}

TEST_CASE("a wrong name is answered with the nearest right one") {
  const std::string kernel = message_of([] { KernelScope("naiv"); });
  CHECK_MESSAGE(contains(kernel, "did you mean 'naive'"), kernel);
  CHECK(contains(message_of([] { KernelScope("im2col,fast"); }), "NAME,auto"));
  const std::string op = message_of([] { builtin_catalogue().at("conv2"); });
  CHECK_MESSAGE(contains(op, "did you mean 'conv2d'"), op);
}

TEST_CASE("scopes belong to one thread and end with their block") {
  const KernelScope scope("naive");
  std::string elsewhere = "unset";
  std::thread([&] { elsewhere = Context::current().choice.text(); }).join();
  CHECK(elsewhere == "auto");
  CHECK(Context::current().choice.text() == "naive");
  {
    const NoRecording inner;
    CHECK_FALSE(Context::current().recording);
    CHECK(Context::current().choice.text() == "naive");
  }
  CHECK(Context::current().recording);
}

TEST_CASE("a kernel and a number of threads for the whole program: this thread and those to come") {
  const auto backend_and_workers = [] {
    Tape tape;
    const Var y = tanh(tape.variable(Tensor::full({4}, 0.5), "x"));
    const auto& executor = Context::current().executor;
    return std::pair(tape.node(y.node()).kernel->backend, executor ? executor->workers() : 1);
  };
  const auto elsewhere = [&] {
    auto found = backend_and_workers();
    std::thread([&] { found = backend_and_workers(); }).join();
    return found;
  };
  const Scope scope;
  const auto before = elsewhere();
  CHECK(before == std::pair(std::string("direct"), 1));
  set_default_kernel("naive");
  set_threads(3);
  const auto here = backend_and_workers(), there = elsewhere();
  set_default_kernel("auto");
  set_threads(1);
  CHECK(here == std::pair(std::string("naive"), 3));
  CHECK(there == here);
  CHECK(elsewhere() == before);
  CHECK(contains(message_of([] { set_default_kernel("naiv"); }), "did you mean 'naive'"));
  CHECK(contains(message_of([] { set_threads(-1); }), "[threads] wanted 0 (all) or more, got -1"));
}

TEST_CASE("a kernel choice for one call alone") {
  Tape tape;
  const Var x = tape.variable(Tensor::full({4}, 0.5), "x"), wide = tape.variable({0.5}, "wide");
  const auto backend = [&](const Var& y) { return tape.node(y.node()).kernel->backend; };
  CHECK(backend(tanh(x)) == "direct");
  CHECK(backend(tanh(At(x).with({.kernel = "naive"}))) == "naive");
  CHECK(Context::current().choice.text() == "auto");
  {
    const KernelScope naive("naive");
    CHECK(backend(tanh(At(x).with({.executor = tbb_executor(2)}))) == "naive");  // what the call leaves open the scope says
    CHECK(backend(tanh(At(x).with({.kernel = "auto"}))) == "direct");
  }
  CHECK(contains(message_of([&] { tanh(At(x).with({.kernel = "naiv"})); }), "did you mean 'naive'"));
  CHECK(contains(message_of([&] { tanh(At(wide).with({.kernel = "direct"})); }), "[tanh"));
  CHECK(contains(message_of([&] { tanh(At(wide).with({.kernel = "direct"})); }), "kernel direct refuses: "));
  CHECK(backend(tanh(At(wide).with({.kernel = "direct,auto"}))) == "naive");
}

TEST_CASE("threads for a scope and for one call alone") {
  const auto take_part = [](int wanted, const CallChoice& choice) {
    test::Rendezvous rendezvous(wanted);
    const Op meet = rendezvous.op();
    Tape tape;
    apply(meet, {}, At(tape.batch(Tensor::full({32, 2}, 1.0), "x")).with(choice));
    return rendezvous.met();
  };
  CHECK(take_part(1, {}) == 1);
  CHECK(take_part(3, {.executor = tbb_executor(3)}) == 3);
  const ExecutorScope scope(tbb_executor(3));
  CHECK(take_part(3, {}) == 3);
  CHECK(take_part(1, {.executor = tbb_executor(1)}) == 1);
}

TEST_CASE("subnormal numbers are flushed in kernels unless kept, and the caller's setting comes back") {
  Tape tape;
  const Var x = tape.variable({1e-310}, "x");
  CHECK((x * 0.5).value().at(0) == 0);
  {
    const KeepDenormals keep;
    CHECK((x * 0.5).value().at(0) != 0);
  }
  volatile double here = 1e-310;
  CHECK(here * 0.5 != 0);
}
