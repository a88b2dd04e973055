// The tape, the reverse sweep, tensors and parameters: contracts and errors.
#include <doctest/doctest.h>

#include <malloc.h>

#include <cmath>
#include <numeric>
#include <thread>

#include <wengert/engine/context.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/gradients.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/ops/activation.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/catalogue.hpp>
#include <wengert/ops/reduce.hpp>

#include "scratch_folder.hpp"

namespace {

using namespace wengert;
using test::contains;

template <class Call>
std::string error_of(Call&& call) {
  return test::message_of<Error>(std::forward<Call>(call));
}

// Bytes that the program has in use, as the allocator counts them.
std::size_t bytes_in_use() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool counts_allocations = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool counts_allocations = false;
#else
constexpr bool counts_allocations = true;
#endif
#else
constexpr bool counts_allocations = true;
#endif

// An op with two outputs, (x + x, x + 1): the library's own with several keep one of them as a by-product.
Op two_outputs_op() {
  Op op;
  op.name = "double_and_next";
  op.smoothness = Op::Smoothness::multilinear;
  op.shapes = [](const OpQuery& query) { return std::vector<Spec>{query.inputs[0], query.inputs[0]}; };
  op.vjp = [](const VjpCall& call) {
    const Var first = call.cotangent(0) ? call.cotangent(0) * 2.0 : Var();
    if (!call.cotangent(1)) return std::vector<Var>{first};
    return std::vector<Var>{first ? first + call.cotangent(1) : call.cotangent(1)};
  };
  op.batch = [](const BatchQuery&) { return BatchEffect::per_image(); };
  Kernel naive;
  naive.run = [](const KernelCall& call) {
    visit_float(call.input(0).dtype, [&](auto zero) {
      using T = decltype(zero);
      for (Index i = 0; i < call.input(0).elements(); ++i) {
        call.output(0).write<T>()[i] = 2 * call.input(0).read<T>()[i];
        call.output(1).write<T>()[i] = call.input(0).read<T>()[i] + 1;
      }
    });
  };
  op.kernels = {naive};
  op.samples = [] { return std::vector<Sample>{}; };
  return op;
}

}  // namespace

TEST_CASE("a chain of a million additions is differentiated without recursion") {
  Tape tape;
  const Var x = tape.variable(Tensor::scalar(1.0, DType::f64), "x");
  Var y = x;
  constexpr int terms = 1'000'000;
  for (int i = 0; i < terms; ++i) y = y + x;
  CHECK(y.item() == terms + 1);
  const auto [dx] = gradients<1>(y, {x}, {{}, false, false});
  CHECK(dx.item() == terms + 1);
}

TEST_CASE("the memory of a released tape is returned") {
  if (!counts_allocations) return;
  const auto work = [] {
    Tape tape;
    const Var x = tape.variable(Tensor::full({256, 256}, 0.5), "x");
    Var y = x;
    for (int i = 0; i < 200; ++i) y = tanh(y);
    gradients<1>(sum(y), {x});
  };
  work();  // what is kept for good is there now
  const std::size_t before = bytes_in_use();
  for (int i = 0; i < 3; ++i) work();
  const std::size_t after = bytes_in_use();
  CHECK(after < before + (1u << 20));  // one run holds 100 MB
}

TEST_CASE("a Var keeps its tape alive") {
  Var y;
  {
    Tape tape;
    y = tape.variable({1.0, 2.0}, "x") * 3.0;
  }
  CHECK(y.value().at(1) == 6);
  const auto [dy] = gradients<1>(sum(y), {y.tape().var(0)});
  CHECK(dy.value().at(0) == 3);
}

TEST_CASE("mixing tapes, cleared tapes and empty Vars are errors that name them") {
  Tape one, two;
  const Var x = one.variable({1.0, 2.0}, "x"), y = two.variable({1.0, 2.0}, "y");
  const std::string mixed = error_of([&] { x + y; });
  CHECK_MESSAGE(contains(mixed, one.text()), mixed);
  CHECK_MESSAGE(contains(mixed, two.text()), mixed);
  CHECK_MESSAGE(contains(mixed, "engine_test.cpp:"), mixed);
  CHECK(contains(error_of([&] { gradients<1>(sum(x), {y}); }), two.text()));
  CHECK(contains(error_of([&] { add(x, Var()); }), "empty Var"));
  one.clear();
  const std::string cleared = error_of([&] { x + x; });
  CHECK_MESSAGE(contains(cleared, one.text() + " was cleared"), cleared);
  CHECK(contains(error_of([&] { x.value(); }), "cleared"));
  CHECK(contains(error_of([&] { gradients<1>(x, {x}); }), "cleared"));
}

TEST_CASE("stop_gradient and a scope without recording") {
  Tape tape;
  const Var x = tape.variable({2.0, 3.0}, "x");
  const auto [through] = gradients<1>(sum(x * stop_gradient(x)), {x});
  CHECK(through.value().at(0) == 2);  // not 4
  CHECK(contains(error_of([&] { gradients<1>(sum(stop_gradient(x)), {x}); }), "does not depend on 'x'"));
  const Index before = tape.size();
  Var y;
  {
    const NoRecording scope;
    y = x * x;
    CHECK_FALSE(y.recorded());
    CHECK(y.value().at(1) == 9);
  }
  CHECK(tape.size() == before);
  CHECK((x * x).recorded());
  CHECK(contains(error_of([&] { gradients<1>(sum(y), {x}); }), "recorded"));
  const auto [with_constant] = gradients<1>(sum(x * y), {x});  // y takes part as a constant
  CHECK(with_constant.value().at(1) == 9);
}

TEST_CASE("several outputs and several losses") {
  Tape tape;
  const Var x = tape.variable({1.0, 5.0}, "x");
  static const Op op = two_outputs_op();
  const std::vector<Var> outputs = apply(op, {}, {x});
  REQUIRE(outputs.size() == 2);
  CHECK(outputs[1].value().at(1) == 6);
  CHECK(gradients<1>(sum(outputs[0]), {x})[0].value().at(0) == 2);
  CHECK(gradients<1>(sum(outputs[1]), {x})[0].value().at(0) == 1);
  const std::vector<Var> losses = {sum(outputs[0]), sum(outputs[1] * outputs[1])};
  CHECK(gradients(losses, std::vector<Var>{x})[0].value().at(1) == 2 + 2 * 6);
  const Var cotangent(Tensor{10.0, 100.0});
  GradientOptions options;
  options.cotangents = {cotangent, Var()};
  CHECK(gradients(outputs, std::vector<Var>{x}, options)[0].value().at(1) == 200);
}

TEST_CASE("a gradient is a Var again") {
  Tape tape;
  const Var x = tape.variable(Tensor::scalar(2.0, DType::f64), "x");
  const Var y = x * x * x;
  const Var dy = gradients<1>(y, {x})[0];
  CHECK(dy.item() == 12);
  const Var ddy = gradients<1>(dy, {x})[0];
  CHECK(ddy.item() == 12);
  CHECK(gradients<1>(ddy, {x})[0].item() == 6);
  CHECK(gradients<2>(x + x, {x, x})[1].item() == 2);  // the same variable twice
  const Var intermediate = x * 5.0;
  CHECK(gradients<1>(intermediate * intermediate, {intermediate})[0].item() == 20);
}

TEST_CASE("gradient requests that have no answer are errors") {
  Tape tape;
  const Var x = tape.variable({1.0, 2.0}, "x"), unused = tape.variable({3.0}, "spare"), whole = tape.variable({1, 2}, "labels");
  const Var y = sum(x);
  const std::string not_used = error_of([&] { gradients<1>(y, {unused}); });
  CHECK_MESSAGE(contains(not_used, "'spare'"), not_used);
  CHECK_MESSAGE(contains(not_used, "zero_unused"), not_used);
  GradientOptions options;
  options.zero_unused = true;
  const auto [zero] = gradients<1>(y, {unused}, options);
  CHECK(zero.value().at(0) == 0);
  CHECK(zero.spec() == unused.spec());
  const std::string integers = error_of([&] { gradients<1>(y, {whole}); });
  CHECK_MESSAGE(contains(integers, "integers have no gradient"), integers);
  CHECK_MESSAGE(contains(integers, "'labels'"), integers);
  const std::string vector = error_of([&] { gradients<1>(x * 2.0, {x}); });
  CHECK_MESSAGE(contains(vector, "not a scalar"), vector);
  options.cotangents = {Var(Tensor{1.0})};
  CHECK(contains(error_of([&] { gradients<1>(x * 2.0, {x}, options); }), "wanted a cotangent f64 (2)"));
  CHECK(contains(error_of([&] { gradients<1>(y, {Var()}); }), "empty"));
}

TEST_CASE("a declaring tape gives shapes and no values") {
  Tape tape(Tape::Mode::declaring);
  const Var x = tape.variable(Tensor::zeros({4, 3}), "x");
  const Var y = tanh(x) * x;
  CHECK(y.shape() == Shape{4, 3});
  const auto [dx] = gradients<1>(sum(y), {x});
  CHECK(dx.shape() == Shape{4, 3});
  const std::string message = error_of([&] { y.value(); });
  CHECK_MESSAGE(contains(message, "no value"), message);
  CHECK_MESSAGE(contains(message, "[multiply"), message);
  CHECK(contains(error_of([&] { x.item(); }), "no value"));
  CHECK(contains(error_of([&] { x + tape.variable(Tensor::zeros({5}), "b"); }), "(5)"));
}

TEST_CASE("the nodes of a vjp bear the forward node's name with a prime and its place") {
  Tape tape;
  const Var x = tape.variable({1.0}, "x");
  const Var y = tanh(x).named("activation");
  const Index forward = y.node(), before = tape.size();
  gradients<1>(sum(y), {x});
  bool found = false;
  for (Index id = before; id < tape.size(); ++id) {
    const Node& node = tape.node(id);
    if (node.origin != forward) continue;
    found = true;
    CHECK(node.name == "activation'");
    CHECK(node.site.line == tape.node(forward).site.line);
  }
  CHECK(found);
}

TEST_CASE("a parameter that is used twice sums its gradients, and names are unique") {
  Tape tape;
  Parameter w("w", {2}, Initial::constant(3));
  const Var x = tape.variable({1.0f, 2.0f}, "x");
  const Var first = w.on(x), second = w.on(x);
  CHECK(first.node() == second.node());
  const Var loss = sum(first * x) + sum(second * second);
  CHECK(gradients<1>(loss, {first})[0].value().at(1) == 2 + 2 * 3);
  REQUIRE(tape.parameters().size() == 1);
  CHECK(tape.parameters()[0] == w);
  const Parameter copy = w;  // shares
  copy.on(x);
  CHECK(tape.parameters().size() == 1);
  const Parameter other = w.clone();
  const std::string message = error_of([&] { other.on(x); });
  CHECK_MESSAGE(contains(message, "'w'"), message);
  CHECK_MESSAGE(contains(message, "unique"), message);
}

TEST_CASE("assign changes the parameter, not what was read before") {
  Tape tape;
  Parameter w("w", {2}, Initial::constant(1));
  const Var x = tape.variable({1.0f, 1.0f}, "x"), read = w.on(x);
  assign(w, read * 5.0);
  CHECK(w.value().at(0) == 5);
  CHECK(read.value().at(0) == 1);
  CHECK(w.version() == 1);
  CHECK(contains(error_of([&] { assign(w, tape.variable({1.0f}, "short")); }), "[assign 'w'"));
  CHECK(contains(error_of([&] { w.set_value(Tensor{1.0, 2.0}); }), "wanted f32 (2), got f64 (2)"));
  Tape declaring(Tape::Mode::declaring);
  const Var declared = declaring.variable(Tensor::zeros({2}), "x");
  assign(w, w.on(declared) * 2.0);
  CHECK(w.value().at(0) == 5);
}

TEST_CASE("a bound parameter is differentiated and run in another dtype") {
  Tape tape;
  const Parameter w("w", {2}, Initial::constant(1));
  const Var stand_in = tape.variable({4.0, 5.0}, "w");
  tape.bind(w, stand_in);
  const Var x = tape.variable({1.0, 2.0}, "x");
  CHECK(gradients<1>(sum(w.on(x) * x), {stand_in})[0].value().at(1) == 2);
  CHECK(contains(error_of([&] { tape.bind(w, tape.variable({1.0}, "w")); }), "wanted shape (2), got (1)"));
}

TEST_CASE("tensors are made from lists, rows, pointers and borrowed memory") {
  CHECK(Tensor{1.0, 2.0}.spec() == Spec{{2}, DType::f64});
  CHECK(Tensor{1.0f, 2.0f, 3.0f}.spec() == Spec{{3}, DType::f32});
  CHECK(Tensor{1, 2}.dtype() == DType::i32);
  const Tensor rows{{1.0, 2.0}, {3.0, 4.0}, {5.0, 6.0}};
  CHECK(rows.shape() == Shape{3, 2});
  CHECK(rows.at(4) == 5);
  CHECK(contains(error_of([] { Tensor{{1.0, 2.0}, {3.0}}; }), "rows of 2 values, got one of 1"));
  std::vector<float> values(6);
  std::iota(values.begin(), values.end(), 0.0f);
  const Tensor copied = Tensor::copy(values.data(), {2, 3});
  values[0] = 100;
  CHECK(copied.at(0) == 0);
  CHECK(reinterpret_cast<std::uintptr_t>(copied.view().data) % Tensor::alignment == 0);
  CHECK(contains(error_of([&] { Tensor::copy(std::span<const float>(values), {5}); }), "wanted 5 values for shape (5), got 6"));
  CHECK(Tensor::full({2}, 7, DType::u8).at(1) == 7);
  CHECK(Tensor::scalar(2.5).item() == 2.5);
  CHECK(contains(error_of([&] { rows.item(); }), "exactly one element"));
  CHECK(contains(error_of([&] { rows.at(6); }), "outside"));
  CHECK(contains(error_of([&] { rows.values<float>(); }), "wanted f32 values, the tensor is f64 (3,2)"));
  CHECK(contains(error_of([&] { rows.reshape({4}); }), "(4)"));
  CHECK(contains(error_of([] { Tensor().view(); }), "empty tensor"));
  CHECK(contains(error_of([] { Tensor::declared({{2}, DType::f32}).at(0); }), "only declared"));
  CHECK(contains(error_of([] { Shape{2, -1}; }), "-1"));
  CHECK(contains(error_of([] { Tensor::zeros({Index{1} << 40, Index{1} << 40}); }), "("));
}

TEST_CASE("writing to a shared or borrowed tensor copies it first") {
  Tensor a{1.0, 2.0};
  const Tensor b = a;
  CHECK(a.shares_buffer_with(b));
  a.mutable_view().write<double>()[0] = 9;
  CHECK_FALSE(a.shares_buffer_with(b));
  CHECK(b.at(0) == 1);
  const void* const place = a.view().data;
  a.mutable_view();
  CHECK(a.view().data == place);  // its own by now
  const Tensor reshaped = a.reshape({2, 1});
  a.mutable_view().write<double>()[1] = -1;
  CHECK(reshaped.at(1) == 2);

  double memory[2] = {3, 4};
  Tensor borrowed = Tensor::borrow(memory, {2});
  CHECK(borrowed.view().data == memory);
  borrowed.mutable_view().write<double>()[0] = 5;
  CHECK(memory[0] == 3);
  CHECK(borrowed.at(0) == 5);
  auto owner = std::make_shared<std::vector<double>>(2, 1.5);
  const std::weak_ptr<std::vector<double>> watch = owner;
  {
    const Tensor kept = Tensor::borrow(owner->data(), {2}, owner);
    owner.reset();
    CHECK(kept.at(1) == 1.5);
  }
  CHECK(watch.expired());

  Tape tape;
  Tensor value{1.0, 2.0};
  const Var x = tape.variable(value, "x");
  value.mutable_view().write<double>()[0] = 50;
  CHECK(x.value().at(0) == 1);  // what was recorded stays
}

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
  CHECK(contains(error_of([&] { catalogue.replace(op); }), "did you mean 'tanh'"));
}

TEST_CASE("a wrong name is answered with the nearest right one") {
  const std::string kernel = error_of([] { KernelScope("naiv"); });
  CHECK_MESSAGE(contains(kernel, "did you mean 'naive'"), kernel);
  CHECK(contains(error_of([] { KernelScope("im2col,fast"); }), "NAME,auto"));
  const std::string op = error_of([] { builtin_catalogue().at("conv2"); });
  CHECK_MESSAGE(contains(op, "did you mean 'conv2d'"), op);
}

TEST_CASE("shapes and dtypes that do not fit name the op, the place and the inputs") {
  Tape tape;
  const Var a = tape.variable(Tensor::zeros({2, 3}, DType::f64), "a"), b = tape.variable(Tensor::zeros({4}, DType::f64), "b");
  const std::string shapes = error_of([&] { a * b; });
  for (const char* part : {"[multiply", "engine_test.cpp:", "(2,3) from 'a'", "(4) from 'b'"}) CHECK_MESSAGE(contains(shapes, part), shapes);
  const std::string dtypes = error_of([&] { a + tape.variable(Tensor::zeros({2, 3}), "c"); });
  for (const char* part : {"[add", "f64", "f32", "'c'"}) CHECK_MESSAGE(contains(dtypes, part), dtypes);
  CHECK(contains(error_of([&] { exp(tape.variable({1, 2}, "i")); }), "wanted f32 or f64"));
  CHECK(contains(error_of([&] { reshape(a, {4, -1}); }), "do not divide by 4"));
  CHECK(contains(error_of([&] { tape.batch(Tensor::scalar(1), "images"); }), "[batch 'images']"));
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
