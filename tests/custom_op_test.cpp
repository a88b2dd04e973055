// An application's own op works wherever a built-in one does.
#include <doctest/doctest.h>

#include <cmath>

#include <wengert/engine/context.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/gradcheck.hpp>
#include <wengert/engine/gradients.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/ops/catalogue.hpp>
#include <wengert/ops/reduce.hpp>

#include "custom_op.hpp"
#include "scratch_folder.hpp"
#include "table.hpp"

namespace {

using namespace wengert;
using test::contains;

Catalogue with_swish() {
  Catalogue catalogue = builtin_catalogue();
  catalogue.add(app::swish_op());
  return catalogue;
}

}  // namespace

TEST_CASE("a custom op runs on a tape, is differentiated and takes its best kernel") {
  Tape tape(with_swish());
  const Var x = tape.variable({-1.0, 0.0, 2.0}, "x");
  const Var y = app::swish(x);
  const auto [dx] = gradients<1>(sum(y), {x});
  for (Index i = 0; i < 3; ++i) {
    const double v = x.value().at(i), s = 1 / (1 + std::exp(-v));
    CHECK(y.value().at(i) == doctest::Approx(v * s));
    CHECK(dx.value().at(i) == doctest::Approx(s + v * s * (1 - s)));
  }
  CHECK(tape.node(y.node()).kernel->backend == "tanh_form");
  CHECK(contains(tape.node(y.node()).text(), "[swish"));
  CHECK(contains(tape.node(y.node()).text(), "custom_op_test.cpp:"));
  REQUIRE(tape.catalogue() != nullptr);
  CHECK(tape.catalogue()->find("swish") == tape.node(y.node()).op);
  CHECK(Tape().catalogue() == nullptr);  // the built-in ops
  const KernelScope scope("naive");
  const Var again = app::swish(x);
  CHECK(tape.node(again.node()).kernel->backend == "naive");
}

TEST_CASE("a custom op passes the gradient check, of first and second order") {
  for (const int order : {1, 2}) {
    GradcheckOptions options;
    options.order = order;
    const GradcheckReport report = check_op(with_swish(), "swish", options);
    CHECK(report.verdict() == Verdict::pass);
    CHECK(report.passed > 10);
    for (const GradcheckFinding& finding : report.findings) MESSAGE(finding.text());
  }
}

TEST_CASE("a custom op passes every check of the table") {
  Catalogue only;
  only.add(app::swish_op());
  for (const test::NamedCheck& named : test::all_checks()) {
    const test::TableResult result = named.check(only);
    for (const std::string& failure : result.failures) FAIL_CHECK((std::string(named.name) + ": " + failure));
  }
}

TEST_CASE("a wrong vjp of a custom op is found, also inside a function") {
  Op wrong = app::swish_op();
  const auto right = wrong.vjp;
  wrong.vjp = [right](const VjpCall& call) { return std::vector<Var>{add(right(call)[0], call.cotangent())}; };
  Catalogue catalogue = with_swish();
  catalogue.replace(wrong);
  const GradcheckReport report = check_op(catalogue, "swish");
  REQUIRE(report.verdict() == Verdict::fail);
  CHECK(report.findings[0].op == "swish");
  CHECK(report.findings[0].command.empty());  // the command knows no such op
}

TEST_CASE("a catalogue refuses an incomplete op, saying what is missing") {
  const auto refused = [](const char* part, const std::function<void(Op&)>& remove) {
    Op op = app::swish_op();
    remove(op);
    Catalogue catalogue;
    const std::string message = test::message_of<Error>([&] { catalogue.add(op); });
    CHECK_MESSAGE(contains(message, part), message);
    CHECK_MESSAGE(contains(message, "swish"), message);
  };
  refused("shape rule", [](Op& op) { op.shapes = nullptr; });
  refused("vjp", [](Op& op) { op.vjp = nullptr; });
  refused("batch rule", [](Op& op) { op.batch = nullptr; });
  refused("samples", [](Op& op) { op.samples = nullptr; });
  refused("naive kernel", [](Op& op) { op.kernels.clear(); });
  refused("naive kernel", [](Op& op) { std::swap(op.kernels[0], op.kernels[1]); });
  Catalogue catalogue = with_swish();
  CHECK(contains(test::message_of<Error>([&] { catalogue.add(app::swish_op()); }), "already"));
}
