#include <wengert/ops/index.hpp>

#include <fmt/format.h>

#include <wengert/backends/naive/index.hpp>
#include <wengert/backends/naive/pool.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/ops/support.hpp>

namespace wengert {

namespace {

using Fill = SampleInput::Fill;

constexpr std::uint32_t x_only = 0b01, positions_only = 0b10, both = 0b11;  // which inputs carry the batch

void want_indices(const OpQuery& query, int input, const char* what) {
  if (query.dtype(input) != DType::i32) fail(fmt::format("wanted i32 {} (cast() converts), got {}", what, name(query.dtype(input))));
}

std::vector<Spec> gather_shapes(const OpQuery& query) {
  want_indices(query, 1, "indices");
  const int axis = query.attributes.as<GatherAttributes>().axis;
  const Shape &x = query.shape(0), &indices = query.shape(1);
  Shape y;
  for (int a = 0; a < axis; ++a) y.push_back(x[a]);
  for (const Index size : indices) y.push_back(size);
  for (int a = axis + 1; a < x.rank(); ++a) y.push_back(x[a]);
  return {{y, query.dtype(0)}};
}

std::vector<Spec> scatter_add_shapes(const OpQuery& query) {
  want_float(query, 0);
  want_indices(query, 1, "indices");
  const auto& [axis, size] = query.attributes.as<GatherAttributes>();
  const Shape &y = query.shape(0), &indices = query.shape(1);
  bool fits = axis + indices.rank() <= y.rank();
  for (int i = 0; fits && i < indices.rank(); ++i) fits = y[axis + i] == indices[i];
  if (!fits) fail(fmt::format("wanted y with the indices' axes {} from its axis {} on, got {}", indices.text(), axis, y.text()));
  Shape x;
  for (int a = 0; a < axis; ++a) x.push_back(y[a]);
  x.push_back(size);
  for (int a = axis + indices.rank(); a < y.rank(); ++a) x.push_back(y[a]);
  return {{x, query.dtype(0)}};
}

// Where the integers of this chunk begin among those of the batch, given that they are cut with it.
Index first_position(const KernelCall& call, int input) {
  const Shape& shape = call.input(input).shape;
  return call.first_image == 0 ? 0 : call.first_image * shape.elements(1, shape.rank());
}

// Of gather and scatter_add: the indices are cut with the batch where axis 0 is theirs.
void check_gather_indices(const KernelCall& call, Index count) {
  const bool cut = call.attributes.as<GatherAttributes>().axis == 0;
  naive::check_indices(call.input(1), count, cut ? first_position(call, 1) : 0);
}

BatchEffect gather_batch(const BatchQuery& query) {
  const bool in_rows = query.attributes.as<GatherAttributes>().axis == 0;  // the result's axis 0 is the indices'
  if (query.batched == (in_rows ? positions_only : x_only)) return BatchEffect::per_image();
  return BatchEffect::mixes(query.is_batched(in_rows ? 1 : 0) ? 1u : 0u);
}

BatchEffect scatter_add_batch(const BatchQuery& query) {
  const bool into_rows = query.attributes.as<GatherAttributes>().axis == 0;
  if (into_rows) return query.batched == both ? BatchEffect::sums() : BatchEffect::mixes();
  if (query.batched == x_only) return BatchEffect::per_image();
  return BatchEffect::mixes(query.is_batched(0) ? 1u : 0u);
}

Op make_gather() {
  Op op;
  op.name = "gather";
  op.summary = "x at integer indices along an axis";
  op.min_inputs = op.max_inputs = 2;
  op.smoothness = Op::Smoothness::multilinear;
  op.keeps.inputs = 0b10;
  op.shapes = gather_shapes;
  op.vjp = [](const VjpCall& call) {
    if (!call.wanted(0)) return std::vector<Var>(2);
    const int axis = call.as<GatherAttributes>().axis;
    return std::vector<Var>{scatter_add(call.cotangent(), call.input(1), axis, call.input_shape(0)[axis]), Var()};
  };
  op.batch = gather_batch;
  op.kernels = {naive_kernel(
      [](const KernelCall& call) {
        const int axis = call.attributes.as<GatherAttributes>().axis;
        check_gather_indices(call, call.input(0).shape[axis]);
        naive::gather(axis, call.input(0), call.input(1), call.output(0));
      },
      {})};
  op.samples = [] {
    return std::vector<Sample>{{GatherAttributes{0}, {sample_value({5, 3}), sample_images({9}, Fill::classes, 5)}},
                               {GatherAttributes{1}, {sample_images({9, 4, 3}), sample_value({2, 3}, Fill::classes, 4)}},
                               {GatherAttributes{2}, {sample_images({9, 2, 7}), sample_value({}, Fill::classes, 7)}},
                               {GatherAttributes{0}, {sample_images({5, 3}), sample_images({5}, Fill::classes, 5)}},
                               {GatherAttributes{0}, {sample_value({5, 3}), sample_images({0, 2}, Fill::classes, 5)}},
                               {GatherAttributes{0}, {sample_value({1}), sample_value({6}, Fill::classes, 1)}}};
  };
  return op;
}

Op make_scatter_add() {
  Op op;
  op.name = "scatter_add";
  op.summary = "sums y into zeros at integer indices along an axis: the adjoint of gather";
  op.min_inputs = op.max_inputs = 2;
  op.smoothness = Op::Smoothness::multilinear;
  op.keeps.inputs = 0b10;
  op.shapes = scatter_add_shapes;
  op.vjp = [](const VjpCall& call) {
    return std::vector<Var>{call.wanted(0) ? gather(call.cotangent(), call.input(1), call.as<GatherAttributes>().axis) : Var(), Var()};
  };
  op.batch = scatter_add_batch;
  op.kernels = {naive_kernel([](const KernelCall& call) {
    const int axis = call.attributes.as<GatherAttributes>().axis;
    check_gather_indices(call, call.output(0).shape[axis]);
    naive::scatter_add(axis, call.input(0), call.input(1), call.output(0));
  })};
  op.samples = [] {
    return std::vector<Sample>{{GatherAttributes{0, 5}, {sample_images({9, 3}), sample_images({9}, Fill::classes, 5)}},
                               {GatherAttributes{1, 4}, {sample_images({9, 2, 3, 5}), sample_value({2, 3}, Fill::classes, 4)}},
                               {GatherAttributes{0, 3}, {sample_value({7, 2}), sample_value({7}, Fill::classes, 3)}},
                               {GatherAttributes{1, 4}, {sample_value({3}), sample_value({}, Fill::classes, 4)}},
                               {GatherAttributes{0, 2}, {sample_images({0, 3}), sample_images({0}, Fill::classes, 2)}}};
  };
  return op;
}

Op make_one_hot() {
  Op op;
  op.name = "one_hot";
  op.summary = "1 at the class, else 0, along a new last axis";
  op.smoothness = Op::Smoothness::constant;
  op.shapes = [](const OpQuery& query) {
    want_indices(query, 0, "classes");
    const auto& [count, dtype] = query.attributes.as<OneHotAttributes>();
    if (!is_float(dtype)) fail(fmt::format("wanted f32 or f64 as the result's dtype, got {}", name(dtype)));
    Shape shape = query.shape(0);
    shape.push_back(count);
    return std::vector<Spec>{{shape, dtype}};
  };
  op.batch = [](const BatchQuery&) { return BatchEffect::per_image(); };
  op.kernels = {naive_kernel(
      [](const KernelCall& call) {
        naive::check_indices(call.input(0), call.attributes.as<OneHotAttributes>().count, first_position(call, 0));
        naive::one_hot(call.input(0), call.output(0));
      },
      {})};
  op.samples = [] {
    return std::vector<Sample>{{OneHotAttributes{10, DType::f32}, {sample_images({9}, Fill::classes, 10)}},
                               {OneHotAttributes{3, DType::f64}, {sample_value({2, 5}, Fill::classes, 3)}},
                               {OneHotAttributes{1, DType::f32}, {sample_value({}, Fill::classes, 1)}},
                               {OneHotAttributes{4, DType::f64}, {sample_images({0}, Fill::classes, 4)}}};
  };
  return op;
}

// x and positions agree on the leading axes of `of`, of which there are enough.
void want_leading(int leading, const Shape& of, const Shape& positions) {
  bool fits = leading >= 0 && leading <= of.rank() && leading <= positions.rank();
  for (int a = 0; fits && a < leading; ++a) fits = of[a] == positions[a];
  if (!fits) fail(fmt::format("wanted {} leading axes in common, got {} and positions {}", leading, of.text(), positions.text()));
}

BatchEffect along_batch(const BatchQuery& query, BatchEffect rows_alone) {
  const bool in_rows = query.attributes.as<AlongAttributes>().leading > 0;
  if (!in_rows) return rows_alone;
  return query.batched == both ? BatchEffect::per_image() : BatchEffect::mixes(1u);
}

// An empty x has no row to check against.
void check_positions(const KernelCall& call, const View& x, int leading) {
  naive::check_indices(call.input(1), x.shape.elements(leading, x.shape.rank()), first_position(call, 1));
}

Op make_take_along() {
  Op op;
  op.name = "take_along";
  op.summary = "x at integer positions of each row";
  op.min_inputs = op.max_inputs = 2;
  op.smoothness = Op::Smoothness::multilinear;
  op.keeps.inputs = 0b10;
  op.shapes = [](const OpQuery& query) {
    want_float(query, 0);
    want_indices(query, 1, "positions");
    want_leading(query.attributes.as<AlongAttributes>().leading, query.shape(0), query.shape(1));
    return std::vector<Spec>{{query.shape(1), query.dtype(0)}};
  };
  op.vjp = [](const VjpCall& call) {
    if (!call.wanted(0)) return std::vector<Var>(2);
    return std::vector<Var>{put_along(call.cotangent(), call.input(1), call.as<AlongAttributes>().leading, call.input_shape(0)), Var()};
  };
  op.batch = [](const BatchQuery& query) {  // one row for all: each position reads it alone
    return along_batch(query,
                       query.batched == positions_only ? BatchEffect::per_image() : BatchEffect::mixes(query.is_batched(1) ? 1u : 0u));
  };
  op.kernels = {naive_kernel([](const KernelCall& call) {
    const int leading = call.attributes.as<AlongAttributes>().leading;
    const View& x = call.input(0);
    check_positions(call, x, leading);
    naive::take_along(x.shape.elements(0, leading), x, call.input(1), call.output(0));
  })};
  op.samples = [] {
    return std::vector<Sample>{{AlongAttributes{2}, {sample_images({9, 3, 4, 5}), sample_images({9, 3, 2, 2}, Fill::classes, 20)}},
                               {AlongAttributes{1}, {sample_value({5, 7}), sample_value({5}, Fill::classes, 7)}},
                               {AlongAttributes{0}, {sample_value({6}), sample_images({9, 2}, Fill::classes, 6)}},
                               {AlongAttributes{1}, {sample_images({0, 7}), sample_images({0, 2}, Fill::classes, 7)}},
                               {AlongAttributes{1}, {sample_images({9, 1}), sample_images({9, 3}, Fill::classes, 1)}}};
  };
  return op;
}

Op make_put_along() {
  Op op;
  op.name = "put_along";
  op.summary = "sums y into zeros at integer positions of each row: the adjoint of take_along";
  op.min_inputs = op.max_inputs = 2;
  op.smoothness = Op::Smoothness::multilinear;
  op.keeps.inputs = 0b10;
  op.shapes = [](const OpQuery& query) {
    want_float(query, 0);
    want_indices(query, 1, "positions");
    const auto& [leading, shape] = query.attributes.as<AlongAttributes>();
    if (query.shape(0) != query.shape(1))
      fail("wanted y and positions of one shape, got " + query.shape(0).text() + " and " + query.shape(1).text());
    want_leading(leading, shape, query.shape(1));
    return std::vector<Spec>{{shape, query.dtype(0)}};
  };
  op.vjp = [](const VjpCall& call) {
    return std::vector<Var>{call.wanted(0) ? take_along(call.cotangent(), call.input(1), call.as<AlongAttributes>().leading) : Var(),
                            Var()};
  };
  op.batch = [](const BatchQuery& query) { return along_batch(query, query.batched == both ? BatchEffect::sums() : BatchEffect::mixes()); };
  op.kernels = {naive_kernel([](const KernelCall& call) {
    const int leading = call.attributes.as<AlongAttributes>().leading;
    const View& x = call.output(0);
    check_positions(call, x, leading);
    naive::put_along(x.shape.elements(0, leading), call.input(0), call.input(1), x);
  })};
  op.samples = [] {
    return std::vector<Sample>{
        {AlongAttributes{2, {9, 3, 4, 5}}, {sample_images({9, 3, 2, 2}), sample_images({9, 3, 2, 2}, Fill::classes, 20)}},
        {AlongAttributes{1, {5, 7}}, {sample_value({5}), sample_value({5}, Fill::classes, 7)}},
        {AlongAttributes{0, {6}}, {sample_images({9, 2}), sample_images({9, 2}, Fill::classes, 6)}},
        {AlongAttributes{1, {0, 7}}, {sample_images({0, 2}), sample_images({0, 2}, Fill::classes, 7)}},
        {AlongAttributes{1, {9, 1}}, {sample_images({9, 3}), sample_images({9, 3}, Fill::classes, 1)}}};
  };
  return op;
}

const Op& gather_op() {
  static const Op op = make_gather();
  return op;
}
const Op& scatter_add_op() {
  static const Op op = make_scatter_add();
  return op;
}
const Op& one_hot_op() {
  static const Op op = make_one_hot();
  return op;
}
const Op& take_along_op() {
  static const Op op = make_take_along();
  return op;
}
const Op& put_along_op() {
  static const Op op = make_put_along();
  return op;
}

}  // namespace

std::string GatherAttributes::describe() const { return fmt::format("axis {}", axis); }
std::string OneHotAttributes::describe() const { return fmt::format("{} classes, {}", count, name(dtype)); }
std::string AlongAttributes::describe() const { return fmt::format("{} leading axes", leading); }

Var gather(const At& x, const Var& indices, int axis) {
  return apply(gather_op(), GatherAttributes{front_axis(x, "gather", axis, x.var.shape().rank())}, x, {indices});
}

Var scatter_add(const At& y, const Var& indices, int axis, Index size) {
  const int rank = y.var.shape().rank() - indices.shape().rank() + 1;  // of the result
  const int front = front_axis(y, "scatter_add", axis, rank);
  if (size < 0) fail_at(y, "scatter_add", fmt::format("wanted a size of 0 or more, got {}", size));
  return apply(scatter_add_op(), GatherAttributes{front, size}, y, {indices});
}

Var one_hot(const At& classes, Index count, DType dtype) {
  if (count < 1) fail_at(classes, "one_hot", fmt::format("wanted at least one class, got {}", count));
  return apply(one_hot_op(), OneHotAttributes{count, dtype}, classes);
}

Var take_along(const At& x, const Var& positions, int leading) { return apply(take_along_op(), AlongAttributes{leading}, x, {positions}); }

Var put_along(const At& y, const Var& positions, int leading, const Shape& shape) {
  return apply(put_along_op(), AlongAttributes{leading, shape}, y, {positions});
}

std::vector<Op> index_ops() { return {gather_op(), scatter_add_op(), one_hot_op(), take_along_op(), put_along_op()}; }

}  // namespace wengert
