// Plans from outside: every op of the catalogue through a plan of one op, changed contents, shared parameters, wrong uses, memory.
#include <doctest/doctest.h>

#include <chrono>
#include <cmath>

#include <wengert/engine/gradients.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/models/mnist_cnn.hpp>
#include <wengert/models/training_step.hpp>
#include <wengert/ops/catalogue.hpp>
#include <wengert/ops/reduce.hpp>

#include "ops_support.hpp"
#include "plan_support.hpp"

namespace wg = wengert;
using namespace wengert;
using namespace wengert::test;
using wengert::testing::contains, wengert::testing::message_of;

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
