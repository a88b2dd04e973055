#include <wengert/ops/data.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>
#include <wengert/ops/support.hpp>

namespace wengert {

namespace {

using Fill = SampleInput::Fill;

constexpr float white = 255.0f;

void want(const OpQuery& query, int input, const Spec& wanted) {
  if (query.inputs[static_cast<std::size_t>(input)] != wanted)
    fail(fmt::format("wanted {} as input {}, got {}", wanted.text(), input, query.text(input)));
}

template <class T>
void add_totals(const KernelCall& call) {
  const Index rows = call.input(2).shape[0], classes = call.input(2).shape[1];
  T loss = 0;
  Index right = 0;
  for (Index n = 0; n < rows; ++n) {
    const T* const row = call.input(2).read<T>() + n * classes;
    loss += call.input(1).read<T>()[n];
    right += std::max_element(row, row + classes) - row == call.input(3).read<std::int32_t>()[n] ? 1 : 0;
  }
  const T* const before = call.input(0).read<T>();
  const T totals[] = {before[0] + loss, before[1] + static_cast<T>(right), before[2] + T(1)};
  std::copy_n(totals, 3, call.output(0).write<T>());
}

const Op& gather_batch_op() {
  static const Op op = [] {
    Op made = make_constant_op("gather_batch", "images of a data set at positions, as numbers from 0 to 1, and their labels", 3, 3);
    made.shapes = [](const OpQuery& query) {
      const Shape &set = query.shape(0), &positions = query.shape(2);
      if (set.rank() != 4 || query.dtype(0) != DType::u8) fail("wanted images u8 (n,C,H,W), got " + query.text(0));
      want(query, 1, {{set[0]}, DType::i32});
      if (positions.rank() != 1 || query.dtype(2) != DType::i32) fail("wanted positions i32 (N), got " + query.text(2));
      return std::vector<Spec>{{{positions[0], set[1], set[2], set[3]}, DType::f32}, {positions, DType::i32}};
    };
    made.batch = [](const BatchQuery& query) { return query.batched == 0b100 ? BatchEffect::per_image() : BatchEffect::mixes(0b11); };
    made.kernels = {naive_kernel(
        [](const KernelCall& call) {
          const View& set = call.input(0);
          const Index pixels = set.shape.elements(1, 4), count = set.shape[0];
          const std::int32_t* const positions = call.input(2).read<std::int32_t>();
          float* const images = call.output(0).write<float>();
          for (Index i = 0; i < call.input(2).elements(); ++i) {
            if (positions[i] < 0 || positions[i] >= count)
              fail(fmt::format("wanted positions in [0,{}), got {} as number {}", count, positions[i], call.first_image + i));
            const std::uint8_t* const from = set.read<std::uint8_t>() + positions[i] * pixels;
            std::transform(from, from + pixels, images + i * pixels, [](std::uint8_t grey) { return static_cast<float>(grey) / white; });
            call.output(1).write<std::int32_t>()[i] = call.input(1).read<std::int32_t>()[positions[i]];
          }
        },
        {})};
    made.samples = [] {
      const auto sample = [](const Shape& set, Index batch) {
        SampleInput images = sample_value(set), labels = sample_value({set[0]}, Fill::classes, 10);
        images.fill = Fill::bytes;
        return Sample{{}, {images, labels, sample_images({batch}, Fill::classes, set[0])}};
      };
      return std::vector<Sample>{sample({7, 1, 3, 5}, 9), sample({4, 3, 2, 2}, 5), sample({3, 1, 2, 2}, 0)};
    };
    return made;
  }();
  return op;
}

const Op& training_totals_op() {
  static const Op op = [] {
    Op made =
        make_constant_op("training_totals", "totals + (sum of losses, rows of logits with their first maximum at the label, 1)", 4, 4);
    made.overwrites = 1;
    made.shapes = [](const OpQuery& query) {
      const Shape& logits = query.shape(2);
      want_float(query, 0);
      want(query, 0, {{3}, query.dtype(0)});
      if (logits.rank() != 2 || logits[1] < 1 || query.dtype(2) != query.dtype(0)) fail("wanted logits (N,C), got " + query.text(2));
      want(query, 1, {{logits[0]}, query.dtype(0)});
      want(query, 3, {{logits[0]}, DType::i32});
      return std::vector<Spec>{query.inputs[0]};
    };
    made.batch = [](const BatchQuery&) { return BatchEffect::mixes(); };
    made.kernels = {naive_kernel(
        [](const KernelCall& call) { visit_float(call.input(0).dtype, [&](auto zero) { add_totals<decltype(zero)>(call); }); })};
    made.samples = [] {
      const auto sample = [](Index rows, Index classes) {
        return Sample{
            {}, {sample_value({3}), sample_value({rows}), sample_value({rows, classes}), sample_value({rows}, Fill::classes, classes)}};
      };
      return std::vector<Sample>{sample(9, 10), sample(300, 3), sample(1, 1), sample(0, 4)};
    };
    return made;
  }();
  return op;
}

}  // namespace

GatheredBatch gather_batch(const At& images, const Var& labels, const Var& positions) {
  const Var inputs[] = {images.var, labels, positions};
  const std::vector<Var> outputs = apply(gather_batch_op(), {}, inputs, {images.site, images.name, images.choice, nullptr});
  return {outputs[0], outputs[1]};
}

Var training_totals(const At& totals, const Var& losses, const Var& logits, const Var& labels) {
  return apply(training_totals_op(), {}, totals, {losses, logits, labels});
}

std::vector<Op> data_ops() { return {gather_batch_op(), training_totals_op()}; }

}  // namespace wengert
