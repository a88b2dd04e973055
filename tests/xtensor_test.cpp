// The xtensor adaptors: both ways, without a copy.
#include <doctest/doctest.h>

#include <wengert/engine/error.hpp>
#include <wengert/xtensor.hpp>

using namespace wengert;

TEST_CASE("a tensor is an xtensor expression on the same memory") {
  const Tensor tensor{{1.0, 2.0, 3.0}, {4.0, 5.0, 6.0}};
  const auto view = as_xtensor<double>(tensor);
  CHECK(view.shape(0) == 2);
  CHECK(view(1, 2) == 6.0);
  CHECK(view.data() == tensor.values<double>().data());
  CHECK_THROWS_AS(as_xtensor<float>(tensor), Error);
}

TEST_CASE("an xarray becomes a tensor that keeps its memory") {
  xt::xarray<float> array = {{1.0f, 2.0f}, {3.0f, 4.0f}};
  const float* const data = array.data();
  const Tensor tensor = from_xtensor(std::move(array));
  CHECK(tensor.shape() == Shape{2, 2});
  CHECK(tensor.at(3) == 4.0);
  CHECK(tensor.values<float>().data() == data);
}
