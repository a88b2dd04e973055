// What an application's own op may get wrong, or right, on the way to its kernel: batch rules, dtypes, workspaces.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include <wengert/engine/random.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/engine/sum_tree.hpp>
#include <wengert/ops/catalogue.hpp>

#include "ops_support.hpp"
#include "sanitizers.hpp"

namespace wg = wengert;
using wg::Tape, wg::Tensor, wg::Var, wg::DType, wg::Shape, wg::Index, wg::Op, wg::OpQuery, wg::Spec, wg::KernelCall, wg::BatchEffect;
using wg::test::contains, wg::test::message_of, wg::test::values, wg::test::List;

namespace {

// One input, no gradient, outputs that the shape rule says.
Op op_of(const char* name, std::function<std::vector<Spec>(const OpQuery&)> shapes, void (*run)(const KernelCall&)) {
  Op op;
  op.name = name;
  op.smoothness = Op::Smoothness::constant;
  op.shapes = std::move(shapes);
  op.batch = [](const wg::BatchQuery&) { return BatchEffect::per_image(); };
  op.kernels = {wg::naive_kernel(run)};
  return op;
}

}  // namespace

TEST_CASE("executor: a batch rule that is wrong about an output is an error before the kernel runs") {
  for (const Shape& shape : {Shape{1}, Shape{}, Shape{4095}}) {
    CAPTURE(shape.text());
    const Op op = op_of(
        "total",
        [&](const OpQuery& query) {
          return std::vector<Spec>{{shape, query.dtype(0)}};
        },
        [](const KernelCall&) { FAIL("the kernel ran"); });
    for (const Tape::Mode mode : {Tape::Mode::eager, Tape::Mode::declaring}) {  // a declared call goes into plans
      Tape tape(mode);
      const Var x = tape.batch(Tensor::zeros({4096, 1}), "x");
      const std::string message = message_of([&] { apply(op, {}, {x}); });
      CHECK_MESSAGE(contains(message, "[total] its batch rule says that output 0 carries the batch of 4096, its shape is " + shape.text()),
                    message);
    }
  }
}

TEST_CASE("executor: an op from integers to floats runs with a kernel's usual dtypes") {
  const Op op = op_of(
      "to_float",
      [](const OpQuery& query) {
        return std::vector<Spec>{{query.shape(0), DType::f32}};
      },
      [](const KernelCall& call) {
        for (Index i = 0; i < call.input(0).elements(); ++i) {
          call.output(0).write<float>()[i] = static_cast<float>(call.input(0).read<std::int32_t>()[i]);
        }
      });
  Tape tape;
  CHECK(values(apply(op, {}, {tape.constant({1, 2})})[0]) == List{1, 2});
}

TEST_CASE("executor: a workspace that does not fit in memory is an error that names the op") {
  if (wg::test::sanitized) return;
  Op op = op_of(
      "greedy", [](const OpQuery& query) { return std::vector<Spec>{query.inputs[0]}; }, [](const KernelCall&) {});
  op.kernels[0].workspace = [](const OpQuery&) { return Index{1} << 62; };
  Tape tape;
  const std::string message = message_of([&] { apply(op, {}, {tape.constant({1.0})}); });
  CHECK_MESSAGE(contains(message, "[greedy] out of memory: wanted a workspace of 4611686018427387904 bytes"), message);
}

TEST_CASE("executor: sizes of a convolution beyond 2^31 are refused instead of overflowing") {
  constexpr Index huge = Index{1} << 62;
  const auto refused = [](const wg::Conv2dOptions& options) {
    const std::string message = message_of([&] { resolve(options, {1, 1, 4, 4}, {1, 1, 3, 3}); });
    CHECK_MESSAGE(contains(message, "of at most 2^31"), message);
  };
  wg::Conv2dOptions options;
  options.dilation = huge;
  refused(options);
  options.padding = wg::Padding2d::full();
  refused(options);
  options.dilation = Index{1} << 31;  // the filter reaches twice as far
  refused(options);
  options = {};
  options.padding = wg::Padding2d::same();
  options.stride = INT64_MAX;
  refused(options);
  options = {};
  options.padding = wg::Padding2d::sides(INT64_MAX, INT64_MAX, 0, 0);
  refused(options);
}

TEST_CASE("executor: a sum over many images adds up their chunks in the one tree, in the memory of a few") {
  constexpr Index images = 6417, columns = 3, chunk = 32;
  std::vector<float> numbers(images * columns);
  fill_uniform(wg::random_stream(1, "x"), numbers, -1, 1);
  const Tensor x = Tensor::copy(numbers.data(), {images, columns});
  std::set<const void*> buffers;
  Op op = op_of(
      "column_sums",
      [](const OpQuery& query) {
        return std::vector<Spec>{{{columns}, query.dtype(0)}};
      },
      nullptr);
  op.batch = [](const wg::BatchQuery&) { return BatchEffect::sums(); };
  op.kernels[0].run = [&buffers](const KernelCall& call) {
    float* const out = call.output(0).write<float>();
    buffers.insert(out);
    std::fill_n(out, columns, 0.0f);
    for (Index i = 0; i < call.input(0).elements(); ++i) out[i % columns] += call.input(0).read<float>()[i];
  };
  Tape tape;
  const auto of_rows = [&](Index first) {
    const Tensor rows = x.rows(first, std::min(chunk, images - first));
    return apply(op, {}, {tape.constant(rows)})[0].value();
  };
  std::vector<Tensor> parts;
  for (Index first = 0; first < images; first += chunk) parts.push_back(of_rows(first));
  const auto part = [&](Index p) { return parts[static_cast<std::size_t>(p)].mutable_view().write<float>(); };
  wg::sum_tree<float>(static_cast<Index>(parts.size()), part, 0, columns);
  buffers.clear();
  const Tensor total = apply(op, {}, {tape.batch(x)})[0].value();
  for (Index c = 0; c < columns; ++c) CHECK(total.at(c) == parts[0].at(c));
  CHECK(buffers.size() <= 64);  // of 201 chunks
}
