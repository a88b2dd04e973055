// Plans from outside: every op of the catalogue through a plan of one op, changed contents, shared parameters, wrong uses, memory.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include <wengert/backends/tbb/executor.hpp>
#include <wengert/engine/gradients.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/ops/catalogue.hpp>
#include <wengert/ops/reduce.hpp>

#include "ops_support.hpp"
#include "plan_support.hpp"

using namespace wengert;
using namespace wengert::test;
using wengert::test::contains, wengert::test::message_of;

namespace {

// A plan of one call of an op, poisoned and cut in chunks.
std::vector<Tensor> through_plan(const Catalogue& catalogue, const Case& at, bool as_batch, Index chunk) {
  Tape tape(catalogue, Tape::Mode::declaring);
  std::vector<Var> inputs;
  for (std::size_t i = 0; i < at.inputs.size(); ++i) {
    const Tensor declared = Tensor::declared(at.inputs[i].spec());
    inputs.push_back(as_batch && at.sample.inputs[i].batched ? tape.batch(declared) : tape.variable(declared));
  }
  CallOptions call;
  call.tape = &tape;
  const std::vector<Var> outputs = apply(at.op, at.sample.attributes, inputs, call);
  PlanOptions options = plan_options({at.kernel.backend, true});
  options.chunk = chunk;
  options.poison = true;
  options.guard = false;
  Plan plan(tape, outputs, options);
  plan::verify(plan.graph(), plan.arenas());
  plan.run();  // on zeros: what a run leaves behind is of no account to the next
  for (std::size_t i = 0; i < inputs.size(); ++i) plan.set(inputs[i], at.inputs[i]);
  return outputs_of(plan);
}

}  // namespace

TEST_CASE("plan: every sample of every op through a plan of one op, with and without batch, agrees with naive f64") {
  const Catalogue catalogue = builtin_catalogue();
  const auto body = [&](const Case& at, Failures& failures) {
    const std::vector<Tensor> wanted = call_directly(at, at.op.kernels.front(), cast_all(at.inputs, DType::f64)).outputs;
    const bool batched = at.batch() >= 0 && contradiction(at).empty();
    failures.add(at, differ(through_plan(catalogue, at, false, 0), wanted, rounding_factor(at, 8)));
    if (!batched) return;
    for (const Index chunk : {Index{0}, Index{2}}) {
      if (const auto what = differ(through_plan(catalogue, at, true, chunk), wanted, rounding_factor(at, 8))) {
        failures.add(at, "as a batch in chunks of " + std::to_string(chunk) + ": " + *what);
      }
    }
  };
  const TableResult result = for_each_case(catalogue, body).take();
  for (const std::string& failure : result.failures) FAIL_CHECK(failure);
  CHECK(result.cases > 0);
}

TEST_CASE("plan: contents change from run to run, and what was set stays") {
  Tape tape(Tape::Mode::declaring);
  const Var x = tape.batch(Tensor::declared({{3, 2}, DType::f32}), "x"), scale = tape.variable(Tensor::declared({{}, DType::f32}), "scale");
  Plan plan(tape, {x * scale, sum(x)}, plan_options());
  plan.set(scale, 2.0);
  for (const float first : {1.0f, 5.0f}) {
    float* const values = plan.input(x).write<float>();
    for (int i = 0; i < 6; ++i) values[i] = first + static_cast<float>(i);
    plan.run();
    CHECK(plan.value(0).at(5) == 2 * (first + 5));
    CHECK(plan.item(1) == 6 * first + 15);
  }
}

TEST_CASE("plan: nothing to run, and outputs that are inputs, constants or parameters") {
  Tape empty(Tape::Mode::declaring);
  Plan nothing(empty, {}, plan_options());
  nothing.run();
  CHECK(nothing.barriers() == 0);
  CHECK(nothing.bytes() == 0);

  Tape tape(Tape::Mode::declaring);
  const Parameter p("p", {2}, Initial::constant(7));
  const Var x = tape.variable(Tensor::declared({{2}, DType::f32}), "x"), c = tape.constant(Tensor{3.0f, 4.0f});
  Plan leaves(tape, {x, c, tape.parameter(p), reshape(x, {2, 1}), x}, plan_options());
  leaves.set(x, Tensor{1.0f, 2.0f});
  leaves.run();
  for (const std::size_t o : {0u, 3u, 4u}) CHECK(leaves.value(o).at(1) == 2);
  CHECK(leaves.value(1).at(1) == 4);
  CHECK(leaves.value(2).at(1) == 7);

  Tape no_images(Tape::Mode::declaring);
  const Var none = no_images.batch(Tensor::declared({{0, 2}, DType::f32}), "x");
  Plan of_none(no_images, {tanh(none), sum(none)}, plan_options());
  of_none.run();
  CHECK(of_none.value(0).shape() == Shape{0, 2});
  CHECK(of_none.item(1) == 0);
}

TEST_CASE("plan: every read of a parameter comes before its assign") {
  Parameter p("p", {2}, Initial::constant(3)), q("q", {2}, Initial::constant(5)), rows("rows", {4, 1}, Initial::constant(0));
  Tape tape(Tape::Mode::declaring);
  const Var x = tape.batch(Tensor::declared({{4, 1}, DType::f32}), "x"), before = tape.parameter(p);
  assign(p, before * 2.0);
  assign(q, before + tape.parameter(q));  // of the old p
  assign(rows, tanh(x) * 0.0 + x);        // a value that carries the batch
  PlanOptions options = plan_options();
  options.chunk = 1;
  options.poison = true;
  Plan plan(tape, {x * before}, options);
  plan.set(x, Tensor{{1.0f}, {2.0f}, {3.0f}, {4.0f}});
  plan.run();
  CHECK(plan.value(0).at(6) == 12);
  CHECK(p.value().at(1) == 6);
  CHECK(q.value().at(1) == 8);
  CHECK(rows.value().at(3) == 4);
  plan.run();
  CHECK(plan.value(0).at(6) == 24);
  CHECK(q.value().at(1) == 14);

  Parameter a("a", {1}, Initial::constant(1)), b("b", {1}, Initial::constant(2));
  Tape swap(Tape::Mode::declaring);
  const Var old_a = swap.parameter(a), old_b = swap.parameter(b);
  assign(a, old_b);
  assign(b, old_a);
  const std::string message = message_of([&] {
    Plan swapping(swap, {}, plan_options());
    swapping.run();
  });
  CHECK_MESSAGE(contains(message, "wait for each other: a plan cannot hold that"), message);
  CHECK(a.value().at(0) == 1);
}

TEST_CASE("plan: what it cannot hold is refused by name: other effects than assign, and a parameter that it changes as its output") {
  Op counting;
  counting.name = "counting";
  counting.side_effects = true;
  counting.shapes = same_shape_rule;
  counting.batch = elementwise_batch;
  counting.kernels = {Kernel{.run = [](const KernelCall&) {}}};
  Tape tape(Tape::Mode::declaring);
  const Var x = tape.variable(Tensor::declared({{2}, DType::f32}), "x");
  apply(counting, {}, {x}, {.name = "calls"});
  const std::string message = message_of([&] { Plan(tape, {tanh(x)}); });
  CHECK_MESSAGE(contains(message, "[counting 'calls'"), message);
  CHECK_MESSAGE(contains(message, "which a plan cannot hold"), message);

  Parameter p("p", {2}, Initial::constant(3));
  Tape changing(Tape::Mode::declaring);
  const Var before = changing.parameter(p);
  assign(p, before * 2.0);
  for (const Var& output : {before, reshape(before, {2, 1})}) {
    const std::string refused = message_of([&] { Plan(changing, {output}); });
    CHECK_MESSAGE(contains(refused, "the parameter 'p', which [assign"), refused);
  }
}

TEST_CASE("plan: a value that is kept by the caller does not change with the parameter") {
  Parameter p("p", {2}, Initial::constant(1));
  Tape tape(Tape::Mode::declaring);
  assign(p, tape.parameter(p) + 1.0);
  Plan plan(tape, {}, plan_options());
  const Tensor kept = p.value();
  plan.run();
  CHECK(kept.at(0) == 1);
  CHECK(p.value().at(0) == 2);
}

TEST_CASE("plan: wrong uses are errors that say what was wanted") {
  Tape eager;
  const Var value = eager.variable(Tensor{1.0f}, "v");
  CHECK(contains(message_of([&] { Plan(eager, {value}); }), "wanted a declaring tape, got " + eager.text()));
  Tape tape(Tape::Mode::declaring), other(Tape::Mode::declaring);
  const Var x = tape.variable(Tensor::declared({{2}, DType::f32}), "x"),
            foreign = other.variable(Tensor::declared({{2}, DType::f32}), "foreign");
  const Var y = tanh(x);
  CHECK(contains(message_of([&] { Plan(tape, {foreign}); }), "wanted a Var of " + tape.text()));
  CHECK(contains(message_of([&] { Plan(tape, {Var()}); }), "wanted a Var of " + tape.text()));
  CHECK(contains(message_of([&] { Plan(tape, {Var(Tensor{1.0f})}); }), "wanted a Var of " + tape.text()));
  Plan plan(tape, {y}, plan_options());
  CHECK(contains(message_of([&] { plan.set(x, Tensor{1.0f, 2.0f, 3.0f}); }), "wanted f32 (2) as 'x', got f32 (3)"));
  CHECK(contains(message_of([&] { plan.set(x, Tensor{1.0, 2.0}); }), "wanted f32 (2) as 'x', got f64 (2)"));
  CHECK(contains(message_of([&] { plan.set(x, 1.0); }), "got one number"));
  CHECK(contains(message_of([&] { plan.set(y, Tensor{1.0f, 2.0f}); }), "is no input"));
  CHECK(contains(message_of([&] { plan.input(foreign); }), "wanted a Var of " + tape.text()));
  CHECK(contains(message_of([&] { plan.output(1); }), "wanted an output below 1, got 1"));
  CHECK(contains(message_of([&] { plan.item(0); }), "wanted a scalar as output 0"));
  Tape batches(Tape::Mode::declaring);
  const Var three = batches.batch(Tensor::declared({{3, 1}, DType::f32}), "three"),
            four = batches.batch(Tensor::declared({{4, 1}, DType::f32}), "four");
  CHECK(contains(message_of([&] { Plan(batches, {three, four}); }), "wanted one batch size for all batches, got 3 and 4 ('four')"));
  tape.clear();
  CHECK(contains(message_of([&] { plan.set(x, Tensor{1.0f, 2.0f}); }), "cleared"));
}

TEST_CASE("plan: an exception of a kernel comes out whole, with one worker and several, and the plan runs again") {
  Op fragile;
  fragile.name = "fragile";
  fragile.smoothness = Op::Smoothness::constant;
  fragile.shapes = same_shape_rule;
  fragile.batch = [](const BatchQuery&) { return BatchEffect::per_image(); };
  fragile.kernels = {naive_kernel([](const KernelCall& call) {
    for (Index i = 0; i < call.input(0).elements(); ++i) {
      if (call.input(0).read<float>()[i] < 0) fail("below zero");
      call.output(0).write<float>()[i] = call.input(0).read<float>()[i];
    }
  })};
  for (const int threads : {1, 3}) {
    Tape tape(Tape::Mode::declaring);
    const Var x = tape.batch(Tensor::declared({{64, 1}, DType::f32}), "x");
    Plan plan(tape, {apply(fragile, {}, At(x))}, plan_options({}, tbb_executor(threads)));
    plan.input(x).write<float>()[40] = -1;
    CHECK(contains(message_of([&] { plan.run(); }), "below zero"));
    plan.input(x).write<float>()[40] = 2;
    plan.run();
    CHECK(plan.value(0).at(40) == 2);
  }
}

TEST_CASE("plan: poison overwrites a scratch value behind its last reader, within the level") {
  const float* seen = nullptr;
  const auto op = [](const char* name, std::function<void(const KernelCall&)> run) {
    Op made;
    made.name = name;
    made.smoothness = Op::Smoothness::constant;
    made.shapes = same_shape_rule;
    made.batch = [](const BatchQuery&) { return BatchEffect::per_image(); };
    Kernel kernel;
    kernel.run = std::move(run);
    made.kernels = {kernel};
    return made;
  };
  const auto copy = [](const KernelCall& call) {
    std::copy_n(call.input(0).read<float>(), call.input(0).elements(), call.output(0).write<float>());
  };
  const Op first = op("first", copy), peek = op("peek", [&](const KernelCall&call) { seen = call.input(0).read<float>(), copy(call); }),
           late = op("late", [&](const KernelCall&call) { std::copy_n(seen, call.output(0).elements(), call.output(0).write<float>()); });
  for (const bool poison : {false, true}) {
    Tape tape(Tape::Mode::declaring);
    const Var x = tape.batch(Tensor::declared({{2, 3}, DType::f32}), "x");
    PlanOptions options = plan_options();
    options.poison = poison;
    Plan plan(tape, {apply(late, {}, At(apply(peek, {}, At(apply(first, {}, At(x))))))}, options);
    plan.set(x, Tensor::full({2, 3}, 5.0));
    plan.run();
    CHECK(std::isnan(plan.value(0).at(0)) == poison);
  }
}

TEST_CASE("plan: verify finds slots of partial sums that overlap, leave their arena or are too small, and a workspace too small") {
  Tape tape(Tape::Mode::declaring);
  const Var x = tape.batch(Tensor::declared({{64, 4}, DType::f32}), "x");
  const Plan plan(tape, {sum(x * x), sum(x)}, plan_options());
  plan::verify(plan.graph(), plan.arenas());
  std::vector<std::size_t> partial;
  for (std::size_t s = 0; s < plan.graph().steps.size(); ++s) {
    if (plan.graph().steps[s].extent == plan::Extent::partial) partial.push_back(s);
  }
  REQUIRE(partial.size() == 2);
  const auto message = [&](const std::function<void(plan::Step&, plan::Arenas&)>& spoil) {
    plan::Graph graph = plan.graph();
    plan::Arenas arenas = plan.arenas();
    spoil(graph.steps[partial[1]], arenas);
    return message_of([&] { plan::verify(graph, arenas); });
  };
  CHECK(contains(message([&](plan::Step& step, plan::Arenas&) { step.partial_offset = plan.graph().steps[partial[0]].partial_offset; }),
                 "overlap"));
  CHECK(contains(message([](plan::Step&, plan::Arenas& arenas) { arenas.partials -= 64; }), "end behind the arena"));
  CHECK(contains(message([](plan::Step& step, plan::Arenas&) { step.partial_bytes /= 4; }), "too small"));
  CHECK(contains(message([](plan::Step&, plan::Arenas& arenas) { arenas.workspace = 0; }), "too little workspace"));
}
