// The built-in catalogue through the table, and the table on ops with faults that it has to find.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include <wengert/backends/direct/target.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/catalogue.hpp>

#include "custom_op.hpp"
#include "table.hpp"

namespace {

using namespace wengert;
using test::TableResult;

const Catalogue& catalogue() {
  static const Catalogue all = builtin_catalogue();
  return all;
}

void all_pass(const TableResult& result) {
  for (const std::string& failure : result.failures) FAIL_CHECK(failure);
  CHECK((result.cases > 0 || std::getenv("WENGERT_CASE") != nullptr));
}

// The ops that have kernels of our own, each with those and the naive one.
Catalogue of_vector_kernels(const Catalogue& all) {
  Catalogue some;
  for (const std::string& name : all.names()) {
    Op op = all.at(name);
    const auto other = [&](const Kernel& kernel) {
      return &kernel != &op.kernels.front() && kernel.backend != "direct" && kernel.backend != "winograd";
    };
    op.kernels.erase(std::remove_if(op.kernels.begin(), op.kernels.end(), other), op.kernels.end());
    if (op.kernels.size() > 1) some.add(op);
  }
  return some;
}

// swish with one part changed, alone in a catalogue.
Catalogue faulty(const std::function<void(Op&)>& change) {
  Op op = app::swish_op();
  change(op);
  Catalogue one;
  one.add(op);
  return one;
}

// What its second kernel does, and then `more`.
std::function<void(Op&)> and_then(const std::function<void(const KernelCall&)>& more) {
  return [more](Op& op) {
    op.kernels[1].run = [run = op.kernels[1].run, more](const KernelCall& call) {
      run(call);
      more(call);
    };
  };
}

double* doubles(const View& view) { return view.dtype == DType::f64 ? view.write<double>() : nullptr; }

}  // namespace

TEST_CASE("table: values") { all_pass(test::check_values(catalogue())); }
TEST_CASE("table: gradients") { all_pass(test::check_gradients(catalogue())); }
TEST_CASE("table: slopes") { all_pass(test::check_slopes(catalogue())); }
TEST_CASE("table: second order") { all_pass(test::check_second_order(catalogue())); }
TEST_CASE("table: adjoint") { all_pass(test::check_adjoint(catalogue())); }
TEST_CASE("table: batch rule") { all_pass(test::check_batch_rule(catalogue())); }
TEST_CASE("table: executor") { all_pass(test::check_executor(catalogue())); }
TEST_CASE("table: non-finite") { all_pass(test::check_non_finite(catalogue())); }
TEST_CASE("table: refusals") { all_pass(test::check_refusals(catalogue())); }
TEST_CASE("table: sentinels") { all_pass(test::check_sentinels(catalogue())); }
TEST_CASE("table: empty batch") { all_pass(test::check_empty_batch(catalogue())); }

TEST_CASE("table: the vector kernels on the machine's other targets") {
  const Catalogue vectors = of_vector_kernels(catalogue());
  const std::string best = direct::target();
  for (const std::string& target : direct::targets()) {
    if (target == best) continue;
    CAPTURE(target);
    direct::set_target(target);
    for (const test::TableCheck check : {test::check_values, test::check_batch_rule, test::check_executor, test::check_non_finite,
                                         test::check_sentinels, test::check_empty_batch}) {
      all_pass(check(vectors));
    }
    direct::set_target(best);
  }
}

TEST_CASE("the table finds a kernel with a wrong value") {
  const auto wrong = faulty(and_then([](const KernelCall& call) {
    if (double* const y = doubles(call.output(0)); y != nullptr && call.output(0).elements() > 5) y[5] *= 1.0001;
  }));
  const TableResult result = test::check_values(wrong);
  REQUIRE(result.failures.size() == 2);  // both samples in f64
  CHECK(result.failures[0].find("[swish/tanh_form/f64/0]") != std::string::npos);
  CHECK(result.failures[0].find("index 5 (0,1,1)") != std::string::npos);
  CHECK(result.failures[0].find("WENGERT_CASE=swish/tanh_form/f64/0") != std::string::npos);
}

TEST_CASE("the table finds a kernel that writes behind or before its output, or into its input") {
  const auto behind = [](const KernelCall& call) {
    if (double* const y = doubles(call.output(0))) y[call.output(0).elements()] = 0;
  };
  const auto before = [](const KernelCall& call) {
    if (double* const y = doubles(call.output(0))) y[-3] = 0;
  };
  const auto input = [](const KernelCall& call) {
    if (double* const x = doubles(call.input(0)); x != nullptr && call.input(0).elements() > 0) x[0] += 1;
  };
  for (const auto& more : std::vector<std::function<void(const KernelCall&)>>{behind, before, input}) {
    CHECK_FALSE(test::check_sentinels(faulty(and_then(more))).failures.empty());
  }
}

TEST_CASE("the table finds a kernel that loses a NaN") {
  const auto wrong = faulty(and_then([](const KernelCall& call) {
    if (double* const y = doubles(call.output(0))) {
      for (Index i = 0; i < call.output(0).elements(); ++i) y[i] = y[i] < 1e300 ? y[i] : 0;  // false for NaN
    }
  }));
  CHECK_FALSE(test::check_non_finite(wrong).failures.empty());
}

TEST_CASE("the table finds a batch rule that is not what the kernel does") {
  const auto sums = faulty([](Op& op) { op.batch = [](const BatchQuery&) { return BatchEffect::sums(); }; });
  CHECK_FALSE(test::check_batch_rule(sums).failures.empty());
  CHECK_FALSE(test::check_empty_batch(faulty([](Op& op) {
                op.batch = [](const BatchQuery&) { return BatchEffect::sums(); };
                op.shapes = [](const OpQuery& query) { return std::vector<Spec>{{{2}, query.dtype(0)}}; };
                for (Kernel& kernel : op.kernels) {
                  kernel.run = [](const KernelCall& call) {
                    if (double* const y = doubles(call.output(0))) y[0] = y[1] = 1;
                  };
                }
              })).failures.empty());
  const auto mixing = faulty(and_then([](const KernelCall& call) {  // a value that depends on the other images
    if (double* const y = doubles(call.output(0)); y != nullptr && call.output(0).elements() > 0)
      y[0] += static_cast<double>(call.output(0).elements());
  }));
  CHECK_FALSE(test::check_batch_rule(mixing).failures.empty());
  CHECK_FALSE(test::check_executor(mixing).failures.empty());
}

TEST_CASE("the table finds a gradient that is wrong, not linear, or not the adjoint") {
  const auto doubled =
      faulty([](Op& op) { op.vjp = [vjp = op.vjp](const VjpCall& call) { return std::vector<Var>{vjp(call)[0] * 2.0}; }; });
  CHECK_FALSE(test::check_slopes(doubled).failures.empty());
  const auto linear = faulty([](Op& op) { op.smoothness = Op::Smoothness::multilinear; });
  CHECK_FALSE(test::check_slopes(linear).failures.empty());
  CHECK_FALSE(test::check_adjoint(linear).failures.empty());
  const auto silent = faulty([](Op& op) { op.smoothness = Op::Smoothness::constant; });  // hides its slope
  CHECK_FALSE(test::check_slopes(silent).failures.empty());
}

TEST_CASE("the table finds a kernel that no sample reaches and a refusal that is not reported") {
  const auto unreached = faulty([](Op& op) { op.kernels[1].refuse = [](const OpQuery&) { return std::string("never on a Monday"); }; });
  const TableResult result = test::check_refusals(unreached);
  CHECK(result.cases == 2);            // kernels
  CHECK(result.failures.size() == 3);  // f32, f64, and at all
  const auto single = faulty([](Op& op) { op.kernels[1].dtypes = {DType::f32}; });
  CHECK(test::check_refusals(single).failures.empty());
}
