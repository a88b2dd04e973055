// What the op families share when they write their descriptors: kernels, axes and samples.
#pragma once

#include <string>
#include <vector>

#include <wengert/engine/error.hpp>
#include <wengert/engine/structural.hpp>

namespace wengert {

// An op that is a constant to gradients though it depends on its inputs: an update, or what a plan makes behind differentiation.
Op make_constant_op(const char* name, const char* summary, int min_inputs, int max_inputs);

// The op with one more kernel, better than those it has.
Op with_kernel(Op op, Kernel kernel);

// An axis counted from the front; a negative one counts from the end. Throws Error outside [-rank, rank).
int front_axis(const At& at, const std::string& op, int axis, int rank);

// A set of axes of one shape.
class AxisSet {
 public:
  bool has(int axis) const { return ((bits_ >> axis) & 1u) != 0; }
  void insert(int axis) { bits_ |= 1u << axis; }
  Shape kept_dims(const Shape& shape) const;     // the axes of the set have size 1
  Shape dropped_dims(const Shape& shape) const;  // they are gone
  Shape only(const Shape& shape) const;          // the other axes have size 1
  std::string text() const;                      // "{0,2}"
  static AxisSet all(int rank);

 private:
  std::uint32_t bits_ = 0;
};

// Axes as the user gives them. Throws Error for one outside the shape or given twice.
AxisSet axis_set(const At& at, const std::string& op, const std::vector<int>& axes, int rank);

// Inputs of samples: images carry the batch on axis 0.
SampleInput sample_images(const Shape& shape, SampleInput::Fill fill = SampleInput::Fill::normal, Index bound = 0);
SampleInput sample_value(const Shape& shape, SampleInput::Fill fill = SampleInput::Fill::normal, Index bound = 0);

}  // namespace wengert
