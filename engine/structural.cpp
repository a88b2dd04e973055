#include <wengert/engine/structural.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <wengert/engine/conversion.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/strided.hpp>

namespace wengert {

namespace {

// Whether `small` can be repeated to `large`.
bool repeats_to(const Shape& small, const Shape& large) {
  if (small.rank() > large.rank()) return false;
  for (int axis = 0; axis < small.rank(); ++axis) {
    const Index size = large[axis + large.rank() - small.rank()];
    if (small[axis] != size && small[axis] != 1) return false;
  }
  return true;
}

void copy_kernel(const KernelCall& call) {
  visit_any(call.output(0).dtype, [&](auto zero) {
    using T = decltype(zero);
    std::copy_n(call.input(0).read<T>(), call.input(0).elements(), call.output(0).write<T>());
  });
}

Op make_add() {
  Op op;
  op.name = "add";
  op.summary = "a + b, broadcasting";
  op.min_inputs = op.max_inputs = 2;
  op.smoothness = Op::Smoothness::multilinear;
  op.broadcasts = true;
  op.shapes = broadcast_shape_rule;
  op.vjp = [](const VjpCall& call) { return std::vector<Var>{call.cotangent(), call.cotangent()}; };
  op.batch = elementwise_batch;
  op.kernels = {naive_kernel([](const KernelCall& call) {
    visit_float(call.output(0).dtype, [&](auto zero) {
      using T = decltype(zero);
      broadcast_binary<T>(call.input(0), call.input(1), call.output(0), [](T a, T b) { return a + b; });
    });
  })};
  op.samples = [] {
    return std::vector<Sample>{{{}, {{{8, 3}, {}, 0, true}, {{8, 3}, {}, 0, true}}},
                               {{}, {{{9, 3, 2, 5}, {}, 0, true}, {{3, 1, 1}}}},
                               {{}, {{{1}}, {{3, 7}}}},
                               {{}, {{{4, 1}, {}, 0, true}, {{1, 5}}}},
                               {{}, {{{0, 3}, {}, 0, true}, {{3}}}},
                               {{}, {{{}}, {{}}}}};
  };
  return op;
}

Op make_sum_to() {
  Op op;
  op.name = "sum_to";
  op.summary = "sums over the axes along which the given shape repeats: the adjoint of broadcast_to";
  op.smoothness = Op::Smoothness::multilinear;
  op.shapes = [](const OpQuery& query) {
    want_float(query, 0);
    const Shape& shape = query.attributes.as<ShapeAttributes>().shape;
    if (!repeats_to(shape, query.shape(0))) fail("wanted a shape that broadcasts to the input, got " + shape.text());
    return std::vector<Spec>{{shape, query.dtype(0)}};
  };
  op.vjp = [](const VjpCall& call) { return std::vector<Var>{broadcast_to(call.cotangent(), call.input_shape(0), call.input_batched(0))}; };
  op.batch = [](const BatchQuery& query) {
    const Shape& shape = query.attributes.as<ShapeAttributes>().shape;
    const bool keeps = shape.rank() == query.shape(0).rank() && shape[0] == query.shape(0)[0];
    return keeps ? BatchEffect::per_image() : BatchEffect::sums();
  };
  op.kernels = {naive_kernel([](const KernelCall& call) {
    visit_float(call.output(0).dtype, [&](auto zero) { reduce_sum<decltype(zero)>(call.input(0), call.output(0), call.output(0).shape); });
  })};
  op.samples = [] {
    return std::vector<Sample>{{ShapeAttributes{{3, 1, 1}}, {{{9, 3, 2, 5}, {}, 0, true}}},
                               {ShapeAttributes{{9, 1}}, {{{9, 5}, {}, 0, true}}},
                               {ShapeAttributes{{}}, {{{7, 3}, {}, 0, true}}},
                               {ShapeAttributes{{1, 5}}, {{{2, 3, 5}}}}};
  };
  return op;
}

Op make_broadcast_to() {
  Op op;
  op.name = "broadcast_to";
  op.summary = "repeats x to a shape, as NumPy does";
  op.smoothness = Op::Smoothness::multilinear;
  op.starts_batch = true;
  op.shapes = [](const OpQuery& query) {
    want_float(query, 0);
    const Shape& shape = query.attributes.as<ShapeAttributes>().shape;
    if (!repeats_to(query.shape(0), shape)) fail("wanted an input that broadcasts to " + shape.text());
    return std::vector<Spec>{{shape, query.dtype(0)}};
  };
  op.vjp = [](const VjpCall& call) { return std::vector<Var>{sum_to(call.cotangent(), call.input_shape(0))}; };
  op.batch = [](const BatchQuery& query) {
    const auto& attributes = query.attributes.as<ShapeAttributes>();
    const Shape &in = query.shape(0), &out = attributes.shape;
    if (query.batched == 0) return BatchEffect::mixes(attributes.batched ? 1u : 0u);
    return in.rank() == out.rank() && in[0] == out[0] ? BatchEffect::per_image() : BatchEffect::mixes();
  };
  op.kernels = {naive_kernel([](const KernelCall& call) {
    visit_float(call.output(0).dtype, [&](auto zero) {
      using T = decltype(zero);
      broadcast_binary<T>(call.input(0), call.input(0), call.output(0), [](T a, T) { return a; });
    });
  })};
  op.samples = [] {
    return std::vector<Sample>{{ShapeAttributes{{9, 3, 2, 5}}, {{{3, 1, 1}}}},
                               {ShapeAttributes{{9, 5}}, {{{9, 1}, {}, 0, true}}},
                               {ShapeAttributes{{2, 3}}, {{{}}}}};
  };
  return op;
}

Op make_reshape() {
  Op op;
  op.name = "reshape";
  op.summary = "the same elements under another shape";
  op.smoothness = Op::Smoothness::multilinear;
  op.alias = true;
  op.shapes = [](const OpQuery& query) {
    const Shape& shape = query.attributes.as<ShapeAttributes>().shape;
    if (shape.elements() != query.shape(0).elements()) fail("wanted as many elements as the input has, got shape " + shape.text());
    return std::vector<Spec>{{shape, query.dtype(0)}};
  };
  op.vjp = [](const VjpCall& call) { return std::vector<Var>{reshape(call.cotangent(), call.input_shape(0))}; };
  op.batch = [](const BatchQuery& query) {
    const Shape& shape = query.attributes.as<ShapeAttributes>().shape;
    return shape.rank() > 0 && shape[0] == query.shape(0)[0] ? BatchEffect::per_image() : BatchEffect::mixes();
  };
  op.kernels = {naive_kernel(copy_kernel, {})};
  op.samples = [] {
    return std::vector<Sample>{{ShapeAttributes{{9, 12}}, {{{9, 3, 4}, {}, 0, true}}},
                               {ShapeAttributes{{6}}, {{{2, 3}}}},
                               {ShapeAttributes{{0, 4}}, {{{0, 2, 2}, {}, 0, true}}}};
  };
  return op;
}

Op make_cast() {
  Op op;
  op.name = "cast";
  op.summary = "x as another dtype";
  op.smoothness = Op::Smoothness::multilinear;
  op.shapes = [](const OpQuery& query) { return std::vector<Spec>{{query.shape(0), query.attributes.as<CastAttributes>().dtype}}; };
  op.vjp = [](const VjpCall& call) {
    const bool floats = is_float(call.input_dtype(0)) && is_float(call.cotangent().dtype());
    return std::vector<Var>{floats ? cast(call.cotangent(), call.input_dtype(0)) : Var()};
  };
  op.batch = [](const BatchQuery&) { return BatchEffect::per_image(); };
  op.kernels = {naive_kernel(
      [](const KernelCall& call) {
        visit_any(call.input(0).dtype, [&](auto from_zero) {
          using From = decltype(from_zero);
          visit_any(call.output(0).dtype, [&](auto to_zero) {
            using To = decltype(to_zero);
            const From* const in = call.input(0).read<From>();
            std::transform(in, in + call.input(0).elements(), call.output(0).write<To>(), [](From value) { return converted<To>(value); });
          });
        });
      },
      {})};
  op.samples = [] {
    return std::vector<Sample>{{CastAttributes{DType::f64}, {{{9, 3}, {}, 0, true}}},
                               {CastAttributes{DType::f64}, {{{5}}}},
                               {CastAttributes{DType::f32}, {{{4, 3}, SampleInput::Fill::classes, 300, true}}},
                               {CastAttributes{DType::i32}, {{{2, 5}, SampleInput::Fill::bytes}}}};
  };
  return op;
}

Op make_fill() {
  Op op;
  op.name = "fill";
  op.summary = "a constant of a shape";
  op.min_inputs = op.max_inputs = 0;
  op.smoothness = Op::Smoothness::constant;
  op.shapes = [](const OpQuery& query) {
    const auto& [spec, value] = query.attributes.as<FillAttributes>();
    check_constant(value, spec.dtype);
    return std::vector<Spec>{spec};
  };
  op.batch = [](const BatchQuery&) { return BatchEffect::mixes(); };
  op.kernels = {naive_kernel(
      [](const KernelCall& call) {
        visit_any(call.output(0).dtype, [&](auto zero) {
          using T = decltype(zero);
          std::fill_n(call.output(0).write<T>(), call.output(0).elements(), static_cast<T>(call.attributes.as<FillAttributes>().value));
        });
      },
      {})};
  op.samples = [] {
    return std::vector<Sample>{{FillAttributes{{{3, 2}, DType::f32}, 2.5}, {}}, {FillAttributes{{{}, DType::f64}, -1.0}, {}}};
  };
  return op;
}

// The identity forward; what the gradient does differs.
Op make_identity(const char* name, const char* summary, Op::Smoothness smoothness) {
  Op op;
  op.name = name;
  op.summary = summary;
  op.smoothness = smoothness;
  op.stops_gradient = smoothness == Op::Smoothness::constant;
  op.alias = true;
  op.shapes = [](const OpQuery& query) { return std::vector<Spec>{query.inputs[0]}; };
  op.vjp = [](const VjpCall& call) { return std::vector<Var>{call.cotangent()}; };
  op.batch = [](const BatchQuery&) { return BatchEffect::per_image(); };
  op.kernels = {naive_kernel(copy_kernel, {})};
  op.samples = [] { return std::vector<Sample>{{{}, {{{9, 3}, {}, 0, true}}}, {{}, {{{}}}}}; };
  return op;
}

const Op& add_op() {
  static const Op op = make_add();
  return op;
}
const Op& sum_to_op() {
  static const Op op = make_sum_to();
  return op;
}
const Op& broadcast_to_op() {
  static const Op op = make_broadcast_to();
  return op;
}
const Op& reshape_op() {
  static const Op op = make_reshape();
  return op;
}
const Op& cast_op() {
  static const Op op = make_cast();
  return op;
}
const Op& fill_op() {
  static const Op op = make_fill();
  return op;
}
const Op& stop_gradient_op() {
  static const Op op = make_identity("stop_gradient", "x, as a constant to gradients", Op::Smoothness::constant);
  return op;
}
const Op& assign_op() {
  static const Op op = [] {
    Op made = make_identity("assign", "the parameter's next value", Op::Smoothness::constant);
    made.samples = [] { return std::vector<Sample>{{AssignAttributes{Parameter("sample", {3}, Initial::constant(0))}, {{{3}}}}}; };
    return made;
  }();
  return op;
}

}  // namespace

Var add(const At& a, const Var& b) { return apply(add_op(), {}, a, {b}); }

Var sum_to(const At& x, const Shape& shape) { return x.var.shape() == shape ? x.var : apply(sum_to_op(), ShapeAttributes{shape}, x); }

Var broadcast_to(const At& x, const Shape& shape, bool batched) {
  return x.var.shape() == shape && !(batched && !x.var.batched()) ? x.var : apply(broadcast_to_op(), ShapeAttributes{shape, batched}, x);
}

Var reshape(const At& x, const Shape& shape) { return x.var.shape() == shape ? x.var : apply(reshape_op(), ShapeAttributes{shape}, x); }

Var reshape(const At& x, std::initializer_list<Index> sizes) {
  const auto open = std::find(sizes.begin(), sizes.end(), -1);
  const Shape shape = checked_at(x, "reshape", [&] {
    Shape full;
    for (auto size = sizes.begin(); size != sizes.end(); ++size) full.push_back(size == open ? 1 : *size);
    if (open == sizes.end()) return full;
    const Index elements = x.var.shape().elements(), known = full.elements();
    if (known == 0 || elements % known != 0) {
      fail(fmt::format("cannot complete the size -1: the elements do not divide by {}, got {}", known, x.var.spec().text()));
    }
    full[static_cast<int>(open - sizes.begin())] = elements / known;
    return full;
  });
  return reshape(x, shape);
}

Var cast(const At& x, DType dtype) { return x.var.dtype() == dtype ? x.var : apply(cast_op(), CastAttributes{dtype}, x); }

Var fill(const Tape& tape, const Shape& shape, double value, DType dtype) {
  CallOptions options;
  options.tape = &tape;
  return apply(fill_op(), FillAttributes{{shape, dtype}, value}, std::initializer_list<Var>{}, options)[0];
}

Var stop_gradient(const At& x) { return apply(stop_gradient_op(), {}, x); }

Var assign(const Parameter& parameter, const At& value) {
  if (value.var.spec() != parameter.tensor().spec()) {
    fail_at(value.named(parameter.name()), "assign", "wanted " + parameter.tensor().spec().text() + ", got " + value.var.spec().text());
  }
  const Var next = apply(assign_op(), AssignAttributes{parameter}, value.named(parameter.name()));
  const bool declared = next.recorded() && next.tape().mode() == Tape::Mode::declaring;
  if (!declared) Parameter(parameter).set_value(next.value());
  return next;
}

std::vector<Op> structural_ops() {
  return {add_op(), sum_to_op(), broadcast_to_op(), reshape_op(), cast_op(), fill_op(), stop_gradient_op(), assign_op()};
}

void fail_at(const At& at, const std::string& op, const std::string& message) { fail(caption(op, at.name, at.site) + " " + message); }

std::string ShapeAttributes::describe() const { return shape.text(); }
std::string FillAttributes::describe() const { return fmt::format("{} of {:g}", spec.text(), value); }

Kernel naive_kernel(void (*run)(const KernelCall&), std::vector<DType> dtypes) {
  Kernel kernel;
  kernel.run = run;
  kernel.dtypes = std::move(dtypes);
  return kernel;
}

void want_float(const OpQuery& query, int input) {
  if (!is_float(query.dtype(input))) fail(fmt::format("wanted f32 or f64 as input {}", input));
}

void want_same_dtype(const OpQuery& query, int input, int other) {
  if (query.dtype(input) != query.dtype(other)) {
    fail(fmt::format("wanted inputs of one dtype (there is no promotion; cast() converts), got {} and {}", name(query.dtype(input)),
                     name(query.dtype(other))));
  }
}

std::vector<Spec> broadcast_shape_rule(const OpQuery& query) {
  Shape shape = query.shape(0);
  for (int i = 0; i < static_cast<int>(query.inputs.size()); ++i) {
    want_float(query, i);
    want_same_dtype(query, 0, i);
    if (i > 0) shape = broadcast_shapes(shape, query.shape(i));
  }
  return {{shape, query.dtype(0)}};
}

std::vector<Spec> same_shape_rule(const OpQuery& query) {
  want_float(query, 0);
  return {query.inputs[0]};
}

BatchEffect elementwise_batch(const BatchQuery& query) {
  int rank = 0;
  Index rows = 0;
  for (const Spec& spec : query.inputs) rank = std::max(rank, spec.shape.rank());
  bool per_image = true;
  for (int i = 0; i < static_cast<int>(query.inputs.size()); ++i) {
    if (!query.is_batched(i)) continue;
    if (query.shape(i).rank() != rank) return BatchEffect::mixes();  // axis 0 of the result is another one
    rows = std::max(rows, query.shape(i)[0]);
  }
  for (int i = 0; i < static_cast<int>(query.inputs.size()); ++i) {
    const Shape& shape = query.shape(i);
    if (query.is_batched(i) ? shape[0] != rows : shape.rank() == rank && shape[0] != 1) per_image = false;
  }
  return per_image ? BatchEffect::per_image() : BatchEffect::mixes(1u);
}

}  // namespace wengert
