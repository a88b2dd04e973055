// Each pass of a plan alone, on graphs made for it: what prune, chunk, fuse, choose and place do, and what they leave be.
#include <doctest/doctest.h>

#include <wengert/backends/tbb/executor.hpp>
#include <wengert/engine/gradients.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/models/mnist_cnn.hpp>
#include <wengert/models/training_step.hpp>
#include <wengert/ops/optimiser.hpp>
#include <wengert/ops/reduce.hpp>
#include <wengert/ops/softmax.hpp>

#include "ops_support.hpp"
#include "plan_support.hpp"

using namespace wengert;
using namespace wengert::test;
using plan::Extent, plan::Graph, plan::Step;
using wengert::test::contains, wengert::test::message_of;

namespace {

using Vars = std::vector<Var>;

// conv2d, bias, ReLU and max pool on (N,3,9,8).
SmallGraph conv_pool(const Pool2dOptions& pool, DType dtype = DType::f32) {
  return {{images("x", {5, 3, 9, 8}), weights("w", {4, 3, 2, 3}), weights("b", {4})},
          [pool](const Vars& in) {
            return Vars{max_pool2d(relu(conv2d(in[0], in[1]) + reshape(in[2], {1, 4, 1, 1})), pool)};
          },
          dtype};
}

// The gradients of a loss by the weights, for a graph that ends in features (N,F...).
Vars with_gradients(const Var& features, const Var& labels, const Vars& wrt) {
  const Var logits = flatten(features);
  const Var loss = affine(sum(softmax_cross_entropy(logits, labels)), 0.2);
  Vars all = gradients(loss, wrt);
  all.insert(all.begin(), loss);
  return all;
}

// conv - relu - conv - relu - pool with all gradients. `pool`: the last one.
SmallGraph two_convolutions(const Pool2dOptions& pool, DType dtype = DType::f32) {
  return {{images("x", {5, 1, 12, 11}), weights("w1", {8, 1, 3, 3}), weights("b1", {8}), weights("w2", {6, 8, 3, 3}), weights("b2", {6}),
           labels("labels", 5, 6)},
          [pool](const Vars& in) {
            const Var h = relu(conv2d(in[0], in[1]) + reshape(in[2], {1, 8, 1, 1}));
            const Var y = max_pool2d(relu(conv2d(h, in[3]) + reshape(in[4], {1, 6, 1, 1})), pool);
            return with_gradients(y, in[5], {in[1], in[2], in[3], in[4]});
          },
          dtype};
}

SmallGraph two_linears(DType dtype = DType::f32) {
  return {{images("x", {7, 20}), weights("w1", {33, 20}), weights("b1", {33}), weights("w2", {10, 33}), labels("labels", 7, 10)},
          [](const Vars& in) {
            return with_gradients(linear(relu(linear(in[0], in[1], in[2])), in[3]), in[4], {in[1], in[2], in[3]});
          },
          dtype};
}

}  // namespace

TEST_CASE("prune: steps that nobody reads go, and what depends on constants alone is computed once") {
  Tape tape(Tape::Mode::declaring);
  const Var x = tape.batch(Tensor::declared({{4, 3}, DType::f32}), "x");
  const Var constant = relu(tape.constant(Tensor{-1.0f, 2.0f, 3.0f}) * 2.0);
  tanh(x);  // dead
  const Var y = x + constant;
  Graph graph(tape, {y});
  plan::prune(graph);
  CHECK(graph.steps.size() == 1);
  CHECK(graph.steps[0].op->name == "add");
  const plan::Value& folded = graph.value(graph.steps[0].inputs[1]);
  REQUIRE(folded.source == plan::Value::Source::constant);
  CHECK(folded.constant.at(0) == 0);
  CHECK(folded.constant.at(1) == 4);
  CHECK(noted(graph, "prune", "2 of constants alone, 1 that nobody reads"));

  Parameter kept("kept", {3}, Initial::constant(1));
  assign(kept, tape.constant(Tensor{1.0f, 2.0f, 3.0f}));
  Plan plan(tape, {}, plan_options());
  plan.run();
  CHECK(kept.value().at(2) == 3);
}

TEST_CASE("chunk: sums are partial, large ones of sliced ops deferred, and an op that mixes the batch is a barrier") {
  Tape tape(Tape::Mode::declaring);
  const Var x = tape.batch(Tensor::declared({{70, 4, 2, 2}, DType::f32}), "x");
  const Var gamma = tape.variable(Tensor::declared({{4}, DType::f32}), "gamma"),
            beta = tape.variable(Tensor::declared({{4}, DType::f32}), "beta");
  const Var y = relu(batch_norm(tanh(x), gamma, beta).y);
  const Plan plan(tape, {sum(y)}, unfused());
  const Graph& graph = plan.graph();
  CHECK(graph.batch == 70);
  const Step &before = step_of(graph, "tanh"), &norm = step_of(graph, "batch_norm"), &after = step_of(graph, "relu");
  CHECK(before.extent == Extent::chunk);
  CHECK(norm.extent == Extent::whole);
  CHECK(after.extent == Extent::chunk);
  CHECK(before.level < norm.level);
  CHECK(norm.level < after.level);
  const auto total = std::find_if(graph.steps.begin(), graph.steps.end(), [](const Step& step) { return step.extent == Extent::partial; });
  REQUIRE(total != graph.steps.end());
  CHECK(total->level == after.level);
}

TEST_CASE("chunk: what reads the whole batch of a value waits for all its chunks, behind reshapes too") {
  // (N,C) as one row of N*C, which every image then reads.
  const SmallGraph graph{{images("x", {6, 2})}, [](const Vars& in) {
                           const Var row = reshape(tanh(in[0]), {12});
                           const Var wide = broadcast_to(sum(in[0], {1}, true), {6, 12}, true);
                           return Vars{wide * row};
                         }};
  CHECK_MESSAGE(!plans_differ(graph), plans_differ(graph).value_or(""));
}

TEST_CASE("chunk: the report's network trains in two levels, whose barriers are the only ones") {
  for (const Index batch : {32, 64, 100}) {
    Model model(MnistCnn{}, {1, 28, 28});
    Update update(Adam::report(), {});
    TrainingStep step(model, update, batch, 1, plan_options());
    CHECK(step.plan().barriers() == 2);
    CHECK(step.plan().graph().batch == batch);
    CHECK(count_of(step.plan().graph(), "conv2d") == 0);
    CHECK_NOTHROW(plan::verify(step.plan().graph(), step.plan().arenas()));
  }
}

TEST_CASE("chunk and choose: weights beyond a core's caches make larger chunks, and OpenBLAS multiplies them") {
  const Index large = 520, batch = 50;
  const SmallGraph graph{{images("x", {batch, large}), weights("w1", {large, large}), weights("b1", {large}), weights("w2", {large, large}),
                          labels("labels", batch, large), weights("m", {large, large}), weights("v", {large, large}), weights("rate", {})},
                         [](const Vars& in) {
                           Vars all = with_gradients(linear(relu(linear(in[0], in[1], in[2])), in[3]), in[4], {in[1], in[2], in[3]});
                           const Var one = affine(in[7], 0.0, 1.0);
                           const AdamResult updated =
                               adam(in[1], in[5], affine(in[6] * in[6], 1.0, 1.0), all[1], in[7], one, one, AdamAttributes{});
                           return Vars{all[0], all[2], all[3], updated.parameter, updated.first, updated.second};
                         }};
  const Plan plan = graph.plan();
  CHECK(plan.graph().chunk == 13);
  for (const char* op : {"linear_fused", "linear_data_gate", "linear_weight_adam"})
    CHECK_MESSAGE(step_of(plan.graph(), op).kernel->backend == "matrix", op);
  CHECK(two_linears().plan().graph().chunk == 4);
  std::vector<Tensor> first;
  for (const int threads : {1, 2, 3, 4, 8}) {
    Plan several = graph.plan(plan_options({}, tbb_executor(threads)));
    const std::vector<Tensor> values = outputs_of(several);
    for (std::size_t o = 0; o < first.size(); ++o) CHECK_MESSAGE(same_bits(values[o], first[o]), "output " << o << ", threads " << threads);
    if (first.empty()) first = values;
  }
  const auto difference = plans_differ(graph);
  CHECK_MESSAGE(!difference, *difference);
}

TEST_CASE("fuse: each rule matches where it should, and fused and unfused plans agree with eager f64 within 2e-5") {
  struct Wanted {
    SmallGraph graph;
    std::vector<std::string> rules;
  };
  const Shape w{130, 150};
  const SmallGraph update{{images("x", {6, 150}), images("y", {6, 130}), weights("p", w), weights("m", w), weights("v", w),
                           weights("rate", {}), weights("c1", {}), weights("c2", {})},
                          [](const Vars& in) {
                            const Var gradient = matmul(in[1], in[0], MatmulOptions{.transpose_a = true});
                            const auto positive = [](const Var& x) { return x * x + 0.5; };
                            const AdamResult next = adam(in[2], in[3], positive(in[4]), gradient, positive(in[5]), positive(in[6]),
                                                         positive(in[7]), AdamAttributes{});
                            return Vars{next.parameter, next.first, next.second};
                          }};
  const std::vector<Wanted> all = {
      {conv_pool({.window = 2}), {"conv2d + bias + relu + max_pool2d"}},
      {two_convolutions({.window = 2}),
       {"conv2d + bias + relu + max_pool2d", "conv2d_weight + bias", "conv2d_data + gate", "winners", "softmax_cross_entropy + gradient"}},
      {two_linears(), {"linear + bias + relu", "linear gradient + gate", "softmax_cross_entropy + gradient"}},
      {update, {"linear gradient + adam"}},
  };
  for (const Wanted& wanted : all) {
    const Plan plan = wanted.graph.plan();
    for (const std::string& rule : wanted.rules) {
      CAPTURE(rule);
      CHECK(noted(plan.graph(), "fuse", rule + " at ["));
    }
    const auto what = plans_differ(wanted.graph);
    CHECK_MESSAGE(!what, wanted.rules[0] << ": " << what.value_or(""));
  }
}

TEST_CASE("fuse: a rule that is switched off is applied nowhere, and the values stay") {
  std::vector<std::string> names = {"all"};
  for (const plan::Fusion& rule : builtin_fusions()) names.push_back(rule.name);
  for (const SmallGraph& graph : {two_convolutions({.window = 2}), two_linears()}) {
    const std::vector<Tensor> wanted = graph.eager();
    for (const std::string& name : names) {
      CAPTURE(name);
      Plan plan = graph.plan(plan_options({}, nullptr, {name}));
      for (const std::string& rule : names) {
        if (rule == "all" || (name != "all" && name != rule)) continue;
        CHECK(noted(plan.graph(), "fuse", rule + " is switched off"));
        CHECK(!noted(plan.graph(), "fuse", rule + " at ["));
      }
      const auto what = differ(outputs_of(plan), wanted, plan_bound(DType::f32));
      CHECK_MESSAGE(!what, what.value_or(""));
    }
  }
  CHECK_THROWS_WITH_AS(plan_options({}, nullptr, {"winers"}), doctest::Contains("got 'winers'; did you mean 'winners'?"), Error);
}

TEST_CASE("fuse: pool before ReLU, stride, dilation, padding, groups, several pools: whatever matches, the values stay") {
  const auto check = [](const char* name, const SmallGraph& graph) {
    const auto what = plans_differ(graph);
    CHECK_MESSAGE(!what, name << ": " << what.value_or(""));
  };
  const std::vector<GraphInput> inputs = {images("x", {5, 4, 13, 14}), weights("w", {8, 4, 3, 3}), weights("w2", {6, 8, 2, 2}),
                                          labels("labels", 5, 6)};
  const auto network = [&](const Conv2dOptions& conv, const Pool2dOptions& pool, bool relu_first) {
    return SmallGraph{inputs, [=](const Vars& in) {
                        Var h = conv2d(in[0], in[1], conv);
                        h = relu_first ? max_pool2d(relu(h), pool) : relu(max_pool2d(h, pool));
                        return with_gradients(max_pool2d(relu(conv2d(h, in[2])), {.window = 2}), in[3], {in[0], in[1], in[2]});
                      }};
  };
  check("pool first", network({}, {.window = 2}, false));
  check("stride", network({.stride = 2}, {.window = 2, .stride = 1}, true));
  check("dilation", network({.dilation = 2}, {.window = 2}, true));
  check("padding", network({.padding = Padding2d::same()}, {.window = 3}, true));
  check("overlapping pool", network({}, {.window = 3, .stride = 2}, true));
  check("wide pool", network({}, {.window = {2, 3}}, false));
  check(
      "groups",
      SmallGraph{
          {images("x", {5, 4, 9, 9}), weights("w", {8, 2, 3, 3}), labels("labels", 5, 8)}, [](const Vars& in) {
            return with_gradients(max_pool2d(relu(conv2d(in[0], in[1], Conv2dOptions{.groups = 2})), {.window = 2}), in[2], {in[0], in[1]});
          }});
}

TEST_CASE("fuse: near misses run unfused with the same values") {
  const std::vector<GraphInput> inputs = {images("x", {5, 3, 9, 8}), weights("w", {4, 3, 2, 3}), labels("labels", 5, 4)};
  const auto check = [](const SmallGraph& graph) {
    const auto what = plans_differ(graph);
    CHECK_MESSAGE(!what, what.value_or(""));
    return graph.plan();
  };
  SUBCASE("a second reader of the ReLU") {
    const Plan plan = check(SmallGraph{inputs, [](const Vars& in) {
                                         const Var h = relu(conv2d(in[0], in[1]));
                                         return Vars{max_pool2d(h, {.window = 2}), tanh(h)};
                                       }});
    CHECK(count_of(plan.graph(), "max_pool2d") == 1);
    CHECK(noted(plan.graph(), "fuse", "2 steps read it"));
  }
  SUBCASE("a wanted intermediate") {
    const Plan plan = check(SmallGraph{inputs, [](const Vars& in) {
                                         const Var y = conv2d(in[0], in[1]), h = relu(y);
                                         return Vars{y, h, max_pool2d(h, {.window = 2})};
                                       }});
    CHECK(count_of(plan.graph(), "conv2d") == 1);
    CHECK(count_of(plan.graph(), "relu") == 1);
    CHECK(count_of(plan.graph(), "max_pool2d") == 1);
  }
  SUBCASE("a pool that keeps too many positions for winners") {
    const Plan plan = check(two_convolutions({.window = 2, .stride = 1}));
    CHECK(count_of(plan.graph(), "winners") == 0);
    CHECK(noted(plan.graph(), "fuse", "the pool keeps too many positions"));
  }
  SUBCASE("f64") {
    const Plan plan = check(two_convolutions({.window = 2}, DType::f64));
    CHECK(count_of(plan.graph(), "winners") == 0);
    CHECK(noted(plan.graph(), "fuse", "wanted f32 images"));
    check(two_linears(DType::f64));
  }
  SUBCASE("shared weights") {
    check(SmallGraph{{images("x", {5, 4, 9, 8}), weights("w", {4, 4, 3, 3}), labels("labels", 5, 4)}, [](const Vars& in) {
                       const Var h = relu(conv2d(in[0], in[1], Conv2dOptions{.padding = Padding2d::same()}));
                       return with_gradients(max_pool2d(relu(conv2d(h, in[1])), {.window = 2}), in[2], {in[1]});
                     }});
  }
  SUBCASE("a bias that is not one value a channel") {
    const Plan plan = check(SmallGraph{{images("x", {5, 3, 9, 8}), weights("w", {4, 3, 2, 3}), weights("b", {8, 6})},
                                       [](const Vars& in) { return Vars{relu(conv2d(in[0], in[1]) + in[2])}; }});
    CHECK(count_of(plan.graph(), "add") == 1);
  }
  SUBCASE("weights that carry the batch") {
    check(SmallGraph{{images("x", {5, 3}), images("w", {5, 3})},
                     [](const Vars& in) { return Vars{relu(matmul(in[0], in[1], MatmulOptions{.transpose_b = true}))}; }});
  }
  SUBCASE("a residual sum") {
    check(SmallGraph{{images("x", {5, 8, 7, 7}), weights("w", {8, 8, 3, 3}), weights("v", {8, 8, 3, 3}), labels("labels", 5, 8)},
                     [](const Vars& in) {
                       const Conv2dOptions same{.padding = Padding2d::same()};
                       const Var h = relu(conv2d(in[0], in[1], same));
                       const Var y = relu(conv2d(h, in[2], same) + h);
                       return with_gradients(max_pool2d(y, {.window = 3}), in[3], {in[0], in[1], in[2]});
                     }});
  }
}

TEST_CASE("choose: a kernel asked for by name runs, and one that refuses is an error with its reason") {
  const SmallGraph graph = conv_pool({.window = 2});
  for (const char* backend : {"naive", "matrix", "im2col", "direct"}) {
    Plan plan = graph.plan(plan_options({backend, false}));
    for (const Step& step : plan.graph().steps) {
      if (step.op->name.rfind("conv2d", 0) != 0) continue;
      CHECK(step.kernel->backend == backend);
      CHECK(step.why == "asked for");
    }
    const auto what = differ(outputs_of(plan), graph.eager(), plan_bound(DType::f32));
    CHECK_MESSAGE(!what, backend << ": " << what.value_or(""));
  }
  const SmallGraph wide = conv_pool({.window = 2}, DType::f64);
  const std::string refused = message_of([&] { wide.plan(plan_options({"direct", false})); });
  CHECK_MESSAGE(contains(refused, "has no kernel that takes it; not direct: it does not take f64"), refused);
  CHECK_NOTHROW(wide.plan(plan_options({"direct", true})));
}

TEST_CASE("choose: reorders stand where layouts differ, once for all readers, and outputs are plain") {
  const SmallGraph graph{
      {images("x", {5, 8, 9, 8}), weights("w", {8, 8, 3, 3})}, [](const Vars& in) {
        const Var y = conv2d(in[0], in[1], Conv2dOptions{.padding = Padding2d::same()});
        return Vars{sum(transpose(y, {0, 2, 3, 1}), {1}), conv2d(y, in[1]), conv2d(y * y, in[1], Conv2dOptions{.stride = 2})};
      }};
  const auto what = plans_differ(graph);
  CHECK_MESSAGE(!what, what.value_or(""));
  const Plan plan = graph.plan();
  CHECK(count_of(plan.graph(), "reorder") >= 1);
  for (const plan::ValueId id : plan.graph().outputs) CHECK(plan.graph().value(id).layout == Layout::nchw);
  std::vector<std::pair<plan::ValueId, Layout>> made;
  for (const Step& step : plan.graph().steps) {
    if (step.op->name == "reorder") made.emplace_back(step.inputs[0], plan.graph().value(step.outputs[0]).layout);
  }
  for (std::size_t i = 0; i < made.size(); ++i) CHECK(std::count(made.begin(), made.end(), made[i]) == 1);
  PlanOptions plain = plan_options();
  plain.reorder = nullptr;
  const Plan without = graph.plan(plain);
  CHECK(count_of(without.graph(), "reorder") == 0);
  CHECK(without.graph().packings.empty());
}

TEST_CASE("choose: packed weights follow set_value of their parameter, and inputs that are set") {
  const auto network = [](const Var& x, const Var& w) { return relu(conv2d(x, w)); };
  Parameter w("w", {8, 8, 3, 3}, Initial::uniform(1));
  w.initialise(3);
  Tape tape(Tape::Mode::declaring);
  const Var x = tape.batch(Tensor::declared({{4, 8, 6, 6}, DType::f32}), "x");
  Plan plan(tape, {network(x, tape.parameter(w))}, plan_options());
  CHECK(plan.graph().packings.size() == 1);
  const Tensor images = random_like({{4, 8, 6, 6}, DType::f32}, "x");
  plan.set(x, images);
  for (const std::uint64_t seed : {3u, 4u, 5u}) {
    w.initialise(seed, false);
    if (seed == 5) w.set_value(random_like(w.value().spec(), "w"));
    plan.run();
    const auto what = differ(plan.value(0), network(Var(images), Var(w.value())).value(), 1e-5);
    CHECK_MESSAGE(!what, "seed " << seed << ": " << what.value_or(""));
  }
}

TEST_CASE("place: no two live values overlap, for any chunk size, and peaks lie within the arenas") {
  for (const SmallGraph& graph :
       {conv_pool({.window = 2}), two_convolutions({.window = 2}), two_convolutions({.window = 2}, DType::f64), two_linears()}) {
    for (const Index chunk : {1, 2, 4, 5, 9}) {
      PlanOptions options = plan_options();
      options.chunk = chunk;
      const Plan plan = graph.plan(options);
      CHECK_NOTHROW(plan::verify(plan.graph(), plan.arenas()));
      CHECK(plan.arenas().peak > 0);
      CHECK(plan.arenas().peak <= plan.arenas().batch + plan.arenas().partials + plan.arenas().scratch);
      CHECK(plan.bytes() == plan.arenas().batch + plan.arenas().partials + plan.arenas().scratch + plan.arenas().workspace);
    }
  }
  Plan plan = two_convolutions({.window = 2}).plan();
  Graph broken = plan.graph();
  plan::ValueId previous = -1;
  for (std::size_t v = 0; v < broken.values.size(); ++v) {  // all on one place
    if (broken.values[v].storage == plan::Storage::batch) broken.values[v].offset = 0, previous = static_cast<plan::ValueId>(v);
  }
  REQUIRE(previous >= 0);
  CHECK(contains(message_of([&] { plan::verify(broken, plan.arenas()); }), "overlap while both live"));
}
