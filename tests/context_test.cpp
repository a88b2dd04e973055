// What surrounds a call: catalogues, kernel choices, scopes, subnormal numbers.
#include <doctest/doctest.h>

#include <thread>

#include <wengert/engine/context.hpp>
#include <wengert/engine/gradients.hpp>
#include <wengert/ops/activation.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/catalogue.hpp>
#include <wengert/ops/reduce.hpp>

#include "ops_support.hpp"

using namespace wengert;
using wengert::testing::contains;
using wengert::testing::message_of;

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

TEST_CASE("a kernel choice for one call alone") {
  Tape tape;
  const Var x = tape.variable({1.0}, "x");
  const KernelChoice naive = KernelChoice::parse("naive");
  const Var y = tanh(At(x).with(naive));
  CHECK(tape.node(y.node()).kernel->backend == "naive");
  CHECK(Context::current().choice.text() == "auto");
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
