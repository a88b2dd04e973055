// What the tests of the op families share: values of a Var as a plain list, and gradients as such.
#pragma once

#include <vector>

#include <wengert/engine/gradients.hpp>

#include "errors.hpp"

namespace wengert::test {

inline std::vector<double> values(const Var& var) {
  std::vector<double> result;
  const Tensor tensor = var.value();
  for (Index i = 0; i < tensor.elements(); ++i) result.push_back(tensor.at(i));
  return result;
}

using List = std::vector<double>;

// 0, 1, 2, ... in a shape.
inline Tensor counting(const Shape& shape, DType dtype = DType::f64) {
  std::vector<double> numbers;
  for (Index i = 0; i < shape.elements(); ++i) numbers.push_back(static_cast<double>(i));
  return Tensor::copy(numbers.data(), shape).cast(dtype);
}

// The gradient of sum(y . cotangent) with respect to x.
inline std::vector<double> pulled_back(const Var& y, const Var& x, const Tensor& cotangent) {
  GradientOptions options;
  options.cotangents = {y.tape().constant(cotangent)};
  return values(gradients(y, std::vector<Var>{x}, options)[0]);
}

}  // namespace wengert::test
