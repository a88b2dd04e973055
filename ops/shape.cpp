#include <wengert/ops/shape.hpp>

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include <wengert/backends/naive/copy.hpp>
#include <wengert/engine/conversion.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/ops/support.hpp>

namespace wengert {

namespace {

using naive::Strides;

std::vector<int> inverse(const std::vector<int>& permutation) {
  std::vector<int> result(permutation.size());
  for (std::size_t i = 0; i < permutation.size(); ++i) result[static_cast<std::size_t>(permutation[i])] = static_cast<int>(i);
  return result;
}

Op make_transpose() {
  Op op;
  op.name = "transpose";
  op.summary = "the axes in another order";
  op.smoothness = Op::Smoothness::multilinear;
  op.shapes = [](const OpQuery& query) {
    Shape shape;
    for (const int axis : query.attributes.as<TransposeAttributes>().permutation) shape.push_back(query.shape(0)[axis]);
    return std::vector<Spec>{{shape, query.dtype(0)}};
  };
  op.vjp = [](const VjpCall& call) {
    return std::vector<Var>{transpose(call.cotangent(), inverse(call.as<TransposeAttributes>().permutation))};
  };
  op.batch = [](const BatchQuery& query) {
    return query.attributes.as<TransposeAttributes>().permutation[0] == 0 ? BatchEffect::per_image() : BatchEffect::mixes();
  };
  op.kernels = {naive_kernel(
      [](const KernelCall& call) {
        const View &x = call.input(0), &y = call.output(0);
        const Strides strides = naive::row_major(x.shape);
        Strides permuted{};
        std::size_t i = 0;
        for (const int axis : call.attributes.as<TransposeAttributes>().permutation)
          permuted[i++] = strides[static_cast<std::size_t>(axis)];
        naive::copy_box(y.shape, {x, 0, permuted}, {y, 0, naive::row_major(y.shape)});
      },
      {})};
  op.samples = [] {
    return std::vector<Sample>{{TransposeAttributes{{0, 2, 3, 1}}, {sample_images({9, 3, 2, 5})}},
                               {TransposeAttributes{{1, 0}}, {sample_images({5, 3})}},
                               {TransposeAttributes{{2, 0, 1}}, {sample_value({2, 1, 7})}},
                               {TransposeAttributes{{0, 2, 1}}, {sample_images({0, 2, 3})}},
                               {TransposeAttributes{{0, 1, 3, 2}}, {sample_images({9, 2, 3, 3})}}};
  };
  return op;
}

// Images stay whole where a part takes all of axis 0.
BatchEffect part_batch(const BatchQuery& query) {
  return query.attributes.as<PartAttributes>().result[0] == query.shape(0)[0] ? BatchEffect::per_image() : BatchEffect::mixes();
}

// The strided box that the part is in the whole.
naive::BoxPlace part_of(const View& whole, const PartAttributes& attributes) {
  naive::BoxPlace place{whole, 0, naive::row_major(whole.shape)};
  for (std::size_t axis = 0; axis < static_cast<std::size_t>(whole.shape.rank()); ++axis) {
    place.first += attributes.offset[axis] * place.strides[axis];
    place.strides[axis] *= attributes.step[axis];
  }
  return place;
}

const Op& pad_op();
const Op& slice_op();

// The adjoint of one of the pair is the other, with the same offset and step.
Var apply_part(const Op& op, const At& x, const PartAttributes& attributes, const Shape& result) {
  return apply(op, PartAttributes{result, attributes.offset, attributes.step}, x);
}

Op make_slice() {
  Op op;
  op.name = "slice";
  op.summary = "every step-th element from a begin to an end, along each axis";
  op.smoothness = Op::Smoothness::multilinear;
  op.shapes = [](const OpQuery& query) { return std::vector<Spec>{{query.attributes.as<PartAttributes>().result, query.dtype(0)}}; };
  op.vjp = [](const VjpCall& call) {
    return std::vector<Var>{apply_part(pad_op(), call.cotangent(), call.as<PartAttributes>(), call.input_shape(0))};
  };
  op.batch = part_batch;
  op.kernels = {naive_kernel(
      [](const KernelCall& call) {
        const View& y = call.output(0);
        naive::copy_box(y.shape, part_of(call.input(0), call.attributes.as<PartAttributes>()), {y, 0, naive::row_major(y.shape)});
      },
      {})};
  op.samples = [] {
    return std::vector<Sample>{{PartAttributes{{9, 2, 3}, {0, 1, 0}, {1, 1, 2}}, {sample_images({9, 3, 5})}},
                               {PartAttributes{{2, 3}, {1, 0}, {3, 1}}, {sample_images({5, 3})}},
                               {PartAttributes{{4}, {2}, {1}}, {sample_value({7})}},
                               {PartAttributes{{0, 2}, {0, 1}, {1, 1}}, {sample_images({0, 3})}},
                               {PartAttributes{{2, 0}, {0, 1}, {1, 1}}, {sample_value({2, 3})}}};
  };
  return op;
}

Op make_pad() {
  Op op;
  op.name = "pad";
  op.summary = "a constant around, and for a step above 1 between, the elements of x: the adjoint of slice";
  op.smoothness = Op::Smoothness::multilinear;
  op.shapes = [](const OpQuery& query) {
    const auto& attributes = query.attributes.as<PartAttributes>();
    check_constant(attributes.value, query.dtype(0));
    return std::vector<Spec>{{attributes.result, query.dtype(0)}};
  };
  op.vjp = [](const VjpCall& call) {
    return std::vector<Var>{apply_part(slice_op(), call.cotangent(), call.as<PartAttributes>(), call.input_shape(0))};
  };
  op.batch = part_batch;
  op.kernels = {naive_kernel(
      [](const KernelCall& call) {
        const View &x = call.input(0), &y = call.output(0);
        const auto& attributes = call.attributes.as<PartAttributes>();
        visit_any(y.dtype, [&](auto zero) {
          using T = decltype(zero);
          std::fill_n(y.write<T>(), y.elements(), static_cast<T>(attributes.value));
        });
        naive::copy_box(x.shape, {x, 0, naive::row_major(x.shape)}, part_of(y, attributes));
      },
      {})};
  op.samples = [] {
    return std::vector<Sample>{{PartAttributes{{9, 4, 6}, {0, 1, 0}, {1, 1, 1}}, {sample_images({9, 3, 5})}},
                               {PartAttributes{{7, 3}, {1, 0}, {1, 1}, 2.5}, {sample_images({5, 3})}},
                               {PartAttributes{{9, 3, 10}, {0, 0, 1}, {1, 1, 2}}, {sample_images({9, 3, 5})}},
                               {PartAttributes{{7}, {3}, {1}, -1.0}, {sample_value({1})}},
                               {PartAttributes{{0, 5}, {0, 1}, {1, 1}}, {sample_images({0, 3})}}};
  };
  return op;
}

std::vector<Spec> concatenate_shapes(const OpQuery& query) {
  const int axis = query.attributes.as<ConcatenateAttributes>().axis;
  Shape shape = query.shape(0);
  for (int i = 1; i < static_cast<int>(query.inputs.size()); ++i) {
    want_same_dtype(query, 0, i);
    bool fits = query.shape(i).rank() == shape.rank();
    for (int a = 0; fits && a < shape.rank(); ++a) fits = a == axis || query.shape(i)[a] == shape[a];
    if (!fits)
      fail(fmt::format("wanted parts that agree on all axes but {}, got {} and {}", axis, query.shape(0).text(), query.shape(i).text()));
    shape[axis] += query.shape(i)[axis];
  }
  return {{shape, query.dtype(0)}};
}

std::vector<Var> concatenate_vjp(const VjpCall& call) {
  const auto axis = static_cast<std::size_t>(call.as<ConcatenateAttributes>().axis);
  const Shape& whole = call.output_shape(0);
  std::vector<Index> begin(static_cast<std::size_t>(whole.rank()), 0), end(whole.begin(), whole.end());
  std::vector<Var> gradients;
  for (int i = 0; i < call.inputs(); ++i) {
    end[axis] = begin[axis] + call.input_shape(i)[static_cast<int>(axis)];
    gradients.push_back(call.wanted(i) ? slice(call.cotangent(), begin, end) : Var());
    begin[axis] = end[axis];
  }
  return gradients;
}

Op make_concatenate() {
  Op op;
  op.name = "concatenate";
  op.summary = "the parts one behind the other along an axis";
  op.max_inputs = Op::any_number;
  op.smoothness = Op::Smoothness::multilinear;
  op.shapes = concatenate_shapes;
  op.vjp = concatenate_vjp;
  op.batch = [](const BatchQuery& query) {
    if (query.attributes.as<ConcatenateAttributes>().axis == 0) return BatchEffect::mixes();
    return query.batched + 1 == 1u << query.inputs.size() ? BatchEffect::per_image() : BatchEffect::mixes(1u);
  };
  op.kernels = {naive_kernel(
      [](const KernelCall& call) {
        const int axis = call.attributes.as<ConcatenateAttributes>().axis;
        const View& y = call.output(0);
        const Strides strides = naive::row_major(y.shape);
        Index first = 0;
        for (const View& x : call.inputs) {
          naive::copy_box(x.shape, {x, 0, naive::row_major(x.shape)}, {y, first, strides});
          first += x.shape[axis] * strides[static_cast<std::size_t>(axis)];
        }
      },
      {})};
  op.samples = [] {
    return std::vector<Sample>{{ConcatenateAttributes{1}, {sample_images({9, 3, 5}), sample_images({9, 1, 5}), sample_images({9, 2, 5})}},
                               {ConcatenateAttributes{0}, {sample_images({5, 3}), sample_images({4, 3})}},
                               {ConcatenateAttributes{1}, {sample_images({9, 2}), sample_value({9, 3})}},
                               {ConcatenateAttributes{0}, {sample_value({1})}},
                               {ConcatenateAttributes{1}, {sample_images({0, 2}), sample_images({0, 3})}},
                               {ConcatenateAttributes{2}, {sample_value({2, 3, 0}), sample_value({2, 3, 4})}}};
  };
  return op;
}

const Op& transpose_op() {
  static const Op op = make_transpose();
  return op;
}
const Op& slice_op() {
  static const Op op = make_slice();
  return op;
}
const Op& pad_op() {
  static const Op op = make_pad();
  return op;
}
const Op& concatenate_op() {
  static const Op op = make_concatenate();
  return op;
}

std::string list(const std::vector<Index>& numbers) { return fmt::format("({})", fmt::join(numbers, ",")); }

}  // namespace

std::string TransposeAttributes::describe() const { return fmt::format("({})", fmt::join(permutation, ",")); }
std::string PartAttributes::describe() const {
  const auto text = [&](const Strides& numbers) {
    return Shape(std::span<const Index>(numbers.data(), static_cast<std::size_t>(result.rank()))).text();
  };
  return fmt::format("{} at {} step {}", result.text(), text(offset), text(step));
}
std::string ConcatenateAttributes::describe() const { return fmt::format("axis {}", axis); }

Var transpose(const At& x, const std::vector<int>& permutation) {
  const int rank = x.var.shape().rank();
  std::vector<int> order(static_cast<std::size_t>(rank));
  std::iota(order.begin(), order.end(), 0);
  if (permutation == order) return x.var;
  if (!std::is_permutation(permutation.begin(), permutation.end(), order.begin(), order.end())) {
    fail_at(x, "transpose",
            fmt::format("wanted a permutation of the {} axes of {}, got ({})", rank, x.var.spec().text(), fmt::join(permutation, ",")));
  }
  return apply(transpose_op(), TransposeAttributes{permutation}, x);
}

Var transpose(const At& x) {
  std::vector<int> reversed(static_cast<std::size_t>(x.var.shape().rank()));
  std::iota(reversed.rbegin(), reversed.rend(), 0);
  return transpose(x, reversed);
}

Var pad(const At& x, const std::vector<Index>& before, const std::vector<Index>& after, double value) {
  const Shape& shape = x.var.shape();
  const auto rank = static_cast<std::size_t>(shape.rank());
  const auto negative = [](Index n) { return n < 0; };
  if (before.size() != rank || after.size() != rank || std::any_of(before.begin(), before.end(), negative) ||
      std::any_of(after.begin(), after.end(), negative)) {
    fail_at(x, "pad",
            fmt::format("wanted {} numbers of 0 or more before and after, got {} and {} for {}", rank, list(before), list(after),
                        x.var.spec().text()));
  }
  PartAttributes attributes;
  attributes.value = value;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    attributes.result.push_back(before[axis] + shape[static_cast<int>(axis)] + after[axis]);
    attributes.offset[axis] = before[axis];
    attributes.step[axis] = 1;
  }
  return apply(pad_op(), attributes, x);
}

Var slice(const At& x, const std::vector<Index>& begin, const std::vector<Index>& end, const std::vector<Index>& step) {
  const Shape& shape = x.var.shape();
  const auto rank = static_cast<std::size_t>(shape.rank());
  bool fits = begin.size() == rank && end.size() == rank && (step.empty() || step.size() == rank);
  PartAttributes attributes;
  for (std::size_t axis = 0; fits && axis < rank; ++axis) {
    const Index by = step.empty() ? 1 : step[axis];
    fits = 0 <= begin[axis] && begin[axis] <= end[axis] && end[axis] <= shape[static_cast<int>(axis)] && by >= 1;
    if (!fits) break;
    const Index length = end[axis] - begin[axis];
    attributes.result.push_back(length / by + (length % by != 0 ? 1 : 0));
    attributes.offset[axis] = begin[axis];
    attributes.step[axis] = by;
  }
  if (!fits) {
    fail_at(x, "slice",
            fmt::format("wanted {} numbers each with 0 <= begin <= end <= size and step >= 1, got begin {}, end {}{} for {}", rank,
                        list(begin), list(end), step.empty() ? "" : ", step " + list(step), x.var.spec().text()));
  }
  return apply(slice_op(), attributes, x);
}

Var concatenate(const std::vector<Var>& parts, int axis, std::string name, const char* file, int line) {
  const At at = At(parts.empty() ? Var() : parts.front(), Site{file, line}).named(std::move(name));
  if (parts.empty()) fail_at(at, "concatenate", "wanted at least one part, got none");
  for (const Var& part : parts) {
    if (!part) fail_at(at, "concatenate", "wanted a value as each part, got an empty Var");
  }
  return apply(concatenate_op(), ConcatenateAttributes{front_axis(at, "concatenate", axis, at.var.shape().rank())}, parts,
               {at.site, at.name, nullptr, nullptr})[0];
}

Var flatten(const At& x) {
  const Shape& shape = x.var.shape();
  if (shape.rank() == 0) fail_at(x, "flatten", "wanted (N, ...), got a scalar");
  return reshape(x, Shape{shape[0], shape.elements(1, shape.rank())});
}

std::vector<Op> shape_ops() { return {transpose_op(), slice_op(), pad_op(), concatenate_op()}; }

}  // namespace wengert
