#include <wengert/ops/support.hpp>

#include <fmt/format.h>

namespace wengert {

Op make_constant_op(const char* name, const char* summary, int min_inputs, int max_inputs) {
  Op op;
  op.name = name;
  op.summary = summary;
  op.min_inputs = min_inputs;
  op.max_inputs = max_inputs;
  op.smoothness = Op::Smoothness::constant;
  op.stops_gradient = true;
  return op;
}

Op with_kernel(Op op, Kernel kernel) {
  op.kernels.push_back(std::move(kernel));
  return op;
}

int front_axis(const At& at, const std::string& op, int axis, int rank) {
  if (axis < -rank || axis >= rank)
    fail_at(at, op, fmt::format("wanted an axis in [{}, {}), got {} for {}", -rank, rank, axis, at.var.spec().text()));
  return axis < 0 ? axis + rank : axis;
}

Shape AxisSet::kept_dims(const Shape& shape) const {
  Shape result;
  for (int axis = 0; axis < shape.rank(); ++axis) result.push_back(has(axis) ? 1 : shape[axis]);
  return result;
}

Shape AxisSet::dropped_dims(const Shape& shape) const {
  Shape result;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (!has(axis)) result.push_back(shape[axis]);
  }
  return result;
}

Shape AxisSet::only(const Shape& shape) const {
  Shape result;
  for (int axis = 0; axis < shape.rank(); ++axis) result.push_back(has(axis) ? shape[axis] : 1);
  return result;
}

std::string AxisSet::text() const {
  std::vector<int> axes;
  for (int axis = 0; axis < Shape::max_rank; ++axis) {
    if (has(axis)) axes.push_back(axis);
  }
  return fmt::format("{{{}}}", fmt::join(axes, ","));
}

AxisSet AxisSet::all(int rank) {
  AxisSet result;
  for (int axis = 0; axis < rank; ++axis) result.insert(axis);
  return result;
}

AxisSet axis_set(const At& at, const std::string& op, const std::vector<int>& axes, int rank) {
  AxisSet result;
  for (const int given : axes) {
    const int axis = front_axis(at, op, given, rank);
    if (result.has(axis)) fail_at(at, op, fmt::format("wanted each axis once, got axis {} twice in {{{}}}", axis, fmt::join(axes, ",")));
    result.insert(axis);
  }
  return result;
}

SampleInput sample_images(const Shape& shape, SampleInput::Fill fill, Index bound) { return {shape, fill, bound, true}; }
SampleInput sample_value(const Shape& shape, SampleInput::Fill fill, Index bound) { return {shape, fill, bound, false}; }

}  // namespace wengert
