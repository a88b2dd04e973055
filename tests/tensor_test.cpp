// Tensors: how they are made, and copies on writing.
#include <doctest/doctest.h>

#include <numeric>

#include <wengert/engine/tape.hpp>

#include "ops_support.hpp"

using namespace wengert;
using wengert::test::contains;
using wengert::test::message_of;

TEST_CASE("tensors are made from lists, rows, pointers and borrowed memory") {
  CHECK(Tensor{1.0, 2.0}.spec() == Spec{{2}, DType::f64});
  CHECK(Tensor{1.0f, 2.0f, 3.0f}.spec() == Spec{{3}, DType::f32});
  CHECK(Tensor{1, 2}.dtype() == DType::i32);
  const Tensor rows{{1.0, 2.0}, {3.0, 4.0}, {5.0, 6.0}};
  CHECK(rows.shape() == Shape{3, 2});
  CHECK(rows.at(4) == 5);
  CHECK(contains(message_of([] { Tensor{{1.0, 2.0}, {3.0}}; }), "rows of 2 values, got one of 1"));
  std::vector<float> values(6);
  std::iota(values.begin(), values.end(), 0.0f);
  const Tensor copied = Tensor::copy(values.data(), {2, 3});
  values[0] = 100;
  CHECK(copied.at(0) == 0);
  CHECK(reinterpret_cast<std::uintptr_t>(copied.view().data) % Tensor::alignment == 0);
  CHECK(contains(message_of([&] { Tensor::copy(std::span<const float>(values), {5}); }), "wanted 5 values for shape (5), got 6"));
  CHECK(Tensor::full({2}, 7, DType::u8).at(1) == 7);
  CHECK(Tensor::scalar(2.5).item() == 2.5);
  CHECK(contains(message_of([&] { rows.item(); }), "exactly one element"));
  CHECK(contains(message_of([&] { rows.at(6); }), "outside"));
  CHECK(contains(message_of([&] { rows.values<float>(); }), "wanted f32 values, the tensor is f64 (3,2)"));
  CHECK(contains(message_of([&] { rows.reshape({4}); }), "(4)"));
  CHECK(contains(message_of([] { Tensor().view(); }), "empty tensor"));
  CHECK(contains(message_of([] { Tensor::declared({{2}, DType::f32}).at(0); }), "only declared"));
  CHECK(contains(message_of([] { Shape{2, -1}; }), "-1"));
  CHECK(contains(message_of([] { Tensor::zeros({Index{1} << 40, Index{1} << 40}); }), "("));
}

TEST_CASE("writing to a shared or borrowed tensor copies it first") {
  Tensor a{1.0, 2.0};
  const Tensor b = a;
  CHECK(a.shares_buffer_with(b));
  a.mutable_view().write<double>()[0] = 9;
  CHECK_FALSE(a.shares_buffer_with(b));
  CHECK(b.at(0) == 1);
  const void* const place = a.view().data;
  a.mutable_view();
  CHECK(a.view().data == place);  // its own by now
  const Tensor reshaped = a.reshape({2, 1});
  a.mutable_view().write<double>()[1] = -1;
  CHECK(reshaped.at(1) == 2);

  double memory[2] = {3, 4};
  Tensor borrowed = Tensor::borrow(memory, {2});
  CHECK(borrowed.view().data == memory);
  borrowed.mutable_view().write<double>()[0] = 5;
  CHECK(memory[0] == 3);
  CHECK(borrowed.at(0) == 5);
  auto owner = std::make_shared<std::vector<double>>(2, 1.5);
  const std::weak_ptr<std::vector<double>> watch = owner;
  {
    const Tensor kept = Tensor::borrow(owner->data(), {2}, owner);
    owner.reset();
    CHECK(kept.at(1) == 1.5);
  }
  CHECK(watch.expired());

  Tape tape;
  Tensor value{1.0, 2.0};
  const Var x = tape.variable(value, "x");
  value.mutable_view().write<double>()[0] = 50;
  CHECK(x.value().at(0) == 1);  // what was recorded stays
}
