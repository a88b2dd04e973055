// Adaptors between Tensor and xtensor, both ways, without a copy. For programs that use xtensor; include as <wengert/xtensor.hpp>.
#pragma once

#include <memory>
#include <utility>

#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>

#include <wengert/engine/tensor.hpp>

namespace wengert {

// A read-only xtensor expression on the tensor's buffer; the tensor must outlive it. T must be the tensor's dtype (else Error).
template <class T>
auto as_xtensor(const Tensor& tensor) {
  const std::vector<std::size_t> shape(tensor.shape().begin(), tensor.shape().end());
  return xt::adapt(tensor.values<T>().data(), static_cast<std::size_t>(tensor.elements()), xt::no_ownership(), shape);
}

// A Tensor on the array's own buffer, which it takes over.
template <class T>
Tensor from_xtensor(xt::xarray<T>&& array) {
  auto owner = std::make_shared<xt::xarray<T>>(std::move(array));
  Shape shape;
  for (const auto size : owner->shape()) shape.push_back(static_cast<Index>(size));
  const T* const data = owner->data();
  return Tensor::borrow(data, shape, std::move(owner));
}

}  // namespace wengert
