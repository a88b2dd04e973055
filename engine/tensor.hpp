// Tensor: a value handle on a shared, 64-byte aligned, contiguous row-major buffer, on the host or on a device.
#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include <wengert/engine/view.hpp>

namespace wengert {

// Copying a Tensor shares its buffer; nothing changes a shared buffer (mutable_view() copies first), so a Tensor behaves as a value. One that
// lives on a device goes into ops like any other; whatever reads its elements throws Error until to() has brought it back.
class Tensor {
 public:
  static constexpr std::size_t alignment = 64;  // bytes; buffers also have this much slack behind them, so kernels may over-read

  Tensor() = default;  // empty: no shape, no buffer

  // Rank 1 from a list: Tensor{1.0, 2.0} is f64, Tensor{1.0f, 2.0f} f32, Tensor{1, 2} i32.
  template <class T>
  Tensor(std::initializer_list<T> values) : Tensor(copy(values.begin(), Shape{static_cast<Index>(values.size())})) {}
  // Rank 2 from rows of equal length; throws Error where they differ.
  template <class T>
  Tensor(std::initializer_list<std::initializer_list<T>> rows) : Tensor(from_rows(rows)) {}

  // The elements of a pointer or span, copied. The span's size must be the shape's.
  template <class T>
  static Tensor copy(const T* values, const Shape& shape) {
    return copy_bytes(values, Spec{shape, dtype_of<T>()});
  }
  template <class T>
  static Tensor copy(std::span<const T> values, const Shape& shape) {
    check_count(static_cast<Index>(values.size()), shape);
    return copy(values.data(), shape);
  }
  // Memory of the caller's, neither copied nor freed; it must outlive every handle unless `owner` keeps it alive, and must not
  // change meanwhile. Not over-readable and aligned only as the caller made it.
  template <class T>
  static Tensor borrow(const T* values, const Shape& shape, std::shared_ptr<const void> owner = nullptr) {
    return borrow_bytes(values, Spec{shape, dtype_of<T>()}, std::move(owner));
  }
  static Tensor uninitialised(const Spec& spec, Device device = {});
  static Tensor zeros(const Shape& shape, DType dtype = DType::f32);
  // Throws Error where an integer dtype does not hold the value, or it has a fraction.
  static Tensor full(const Shape& shape, double value, DType dtype = DType::f32);
  static Tensor scalar(double value, DType dtype = DType::f32) { return full(Shape{}, value, dtype); }
  // A spec without a buffer: what a declaring tape holds. Reading it is an error.
  static Tensor declared(const Spec& spec);

  explicit operator bool() const { return static_cast<bool>(body_); }
  const Shape& shape() const { return spec().shape; }
  DType dtype() const { return spec().dtype; }
  const Spec& spec() const;  // throws Error on an empty Tensor
  Index elements() const { return shape().elements(); }
  bool has_value() const;  // false for empty and declared ones

  Device device() const;           // declared ones: the CPU
  Tensor to(Device device) const;  // itself where it lives there. Throws Error where the device has not been opened (engine/device.hpp).
  View memory() const;             // wherever it lives: for kernels of that device

  // The elements in row-major order. Throws Error where T is not the dtype or there is no value.
  template <class T>
  std::span<const T> values() const {
    check_dtype(dtype_of<T>());
    return {static_cast<const T*>(data()), static_cast<std::size_t>(elements())};
  }
  double item() const;              // the one element, of any dtype; throws Error where there is not exactly one
  double at(Index position) const;  // the element at a row-major position, of any dtype
  View view() const;                // for reading only
  View mutable_view();              // for writing; copies first when the buffer is shared or borrowed
  View mutable_memory();            // the same, wherever it lives

  Tensor reshape(const Shape& shape) const;  // shares the buffer; throws Error on another number of elements
  // Itself where it has that dtype. Floats to integers drop the fraction; throws Error for NaN and what an integer dtype does not hold.
  Tensor cast(DType dtype) const;
  Tensor rows(Index first, Index count) const;  // a copy of rows of axis 0
  bool shares_buffer_with(const Tensor& other) const { return has_value() && other.has_value() && memory().data == other.memory().data; }

  std::string text() const;  // "f32 (2,2) [[1, 2], [3, 4]]", long ones shortened

 private:
  struct Body;
  explicit Tensor(std::shared_ptr<Body> body) : body_(std::move(body)) {}
  static Tensor copy_bytes(const void* values, const Spec& spec);
  static Tensor borrow_bytes(const void* values, const Spec& spec, std::shared_ptr<const void> owner);
  static void check_count(Index count, const Shape& shape);
  static void check_row(std::size_t size, std::size_t wanted);
  void check_dtype(DType dtype) const;
  const void* data() const;
  template <class T>
  static Tensor from_rows(std::initializer_list<std::initializer_list<T>> rows) {
    std::vector<T> flat;
    for (const auto& row : rows) {
      check_row(row.size(), rows.begin()->size());
      flat.insert(flat.end(), row.begin(), row.end());
    }
    const auto columns = rows.size() == 0 ? std::size_t{0} : rows.begin()->size();
    return copy(flat.data(), Shape{static_cast<Index>(rows.size()), static_cast<Index>(columns)});
  }

  std::shared_ptr<Body> body_;
};

std::ostream& operator<<(std::ostream& out, const Tensor& tensor);

}  // namespace wengert
