#include <wengert/engine/tensor.hpp>

#include <algorithm>
#include <cstring>
#include <new>

#include <fmt/format.h>

#include <wengert/engine/conversion.hpp>
#include <wengert/engine/device.hpp>
#include <wengert/engine/error.hpp>

namespace wengert {

namespace {

// body(), whose errors do not say who they are about.
template <class Body>
void as_tensor(Body body) {
  try {
    body();
  } catch (const Error& error) {
    fail(std::string("[tensor] ") + error.what());
  }
}

}  // namespace

struct Tensor::Body {
  Spec spec;
  void* data = nullptr;
  bool owned = false;                      // data was allocated by this body
  std::shared_ptr<const void> owner;       // else what keeps data alive: another body or the lender's handle
  std::shared_ptr<DeviceRuntime> runtime;  // of the device on which it lives; null: on the host

  Body() = default;
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;
  ~Body() {
    if (!owned) return;
    if (runtime) runtime->release(data);
    else ::operator delete (data, std::align_val_t{alignment});
  }
};

Tensor Tensor::uninitialised(const Spec& spec, Device device) {
  auto body = std::make_shared<Body>();
  body->spec = spec;
  Index bytes = 0;
  if (__builtin_mul_overflow(spec.shape.elements(), size_of(spec.dtype), &bytes) || bytes > (Index{1} << 46)) {
    fail("wanted a tensor of at most 2^46 bytes, got " + spec.text());
  }
  if (device.kind != Device::Kind::cpu) {
    body->runtime = device_runtime(device);
    body->data = body->runtime->allocate(bytes + static_cast<Index>(alignment));
    body->owned = true;
    return Tensor(std::move(body));
  }
  try {
    body->data = ::operator new (static_cast<std::size_t>(bytes) + alignment, std::align_val_t{alignment});
  } catch (const std::bad_alloc&) {
    fail(fmt::format("out of memory: wanted {} bytes for {}", bytes, spec.text()));
  }
  body->owned = true;
  return Tensor(std::move(body));
}

Tensor Tensor::declared(const Spec& spec) {
  auto body = std::make_shared<Body>();
  body->spec = spec;
  return Tensor(std::move(body));
}

Tensor Tensor::zeros(const Shape& shape, DType dtype) {
  Tensor result = uninitialised({shape, dtype});
  std::memset(result.body_->data, 0, static_cast<std::size_t>(result.view().bytes()));
  return result;
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype) {
  as_tensor([&] { check_constant(value, dtype); });
  Tensor result = uninitialised({shape, dtype});
  visit_any(dtype, [&](auto zero) {
    using T = decltype(zero);
    T* out = static_cast<T*>(result.body_->data);
    std::fill(out, out + shape.elements(), static_cast<T>(value));
  });
  return result;
}

Tensor Tensor::copy_bytes(const void* values, const Spec& spec) {
  Tensor result = uninitialised(spec);
  const auto bytes = static_cast<std::size_t>(result.view().bytes());
  if (bytes > 0) std::memcpy(result.body_->data, values, bytes);
  return result;
}

Tensor Tensor::borrow_bytes(const void* values, const Spec& spec, std::shared_ptr<const void> owner) {
  Tensor result = declared(spec);
  result.body_->data = const_cast<void*>(values);  // never written through: mutable_view() copies what is not owned
  result.body_->owner = std::move(owner);
  if (values == nullptr)
    return spec.shape.elements() == 0 ? zeros(spec.shape, spec.dtype) : (fail("[tensor] wanted a pointer, got null"), result);
  return result;
}

void Tensor::check_count(Index count, const Shape& shape) {
  if (count != shape.elements()) {
    fail(fmt::format("[tensor] wanted {} values for shape {}, got {}", shape.elements(), shape.text(), count));
  }
}

void Tensor::check_row(std::size_t size, std::size_t wanted) {
  if (size != wanted) fail(fmt::format("[tensor] wanted rows of {} values, got one of {}", wanted, size));
}

const Spec& Tensor::spec() const {
  if (!body_) fail("[tensor] wanted a value, got an empty tensor");
  return body_->spec;
}

bool Tensor::has_value() const { return body_ && body_->data != nullptr; }

const void* Tensor::data() const {
  if (!has_value())
    fail("[tensor] " +
         (body_ ? spec().text() + " is only declared: it has no value to read" : std::string("an empty tensor has no value")));
  if (body_->runtime) fail(fmt::format("[tensor] {} lives on {}: to(Device{{}}) brings it to the host", spec().text(), text_of(device())));
  return body_->data;
}

Device Tensor::device() const { return body_ && body_->runtime ? body_->runtime->device() : Device{}; }

Tensor Tensor::to(Device device) const {
  if (!has_value()) data();
  if (device == this->device()) return *this;
  if (body_->runtime) {
    const Tensor here = uninitialised(spec());
    body_->runtime->queue().download(here.body_->data, body_->data, memory().bytes());
    return here.to(device);
  }
  const Tensor there = uninitialised(spec(), device);
  there.body_->runtime->queue().upload(there.body_->data, body_->data, memory().bytes());
  return there;
}

View Tensor::memory() const {
  if (!has_value()) data();
  return {body_->data, shape(), dtype(), Layout::nchw};
}

void Tensor::check_dtype(DType dtype) const {
  if (spec().dtype != dtype) fail(fmt::format("[tensor] wanted {} values, the tensor is {}", wengert::name(dtype), spec().text()));
}

double Tensor::at(Index position) const {
  if (position < 0 || position >= elements()) fail(fmt::format("[tensor] position {} is outside {}", position, spec().text()));
  return visit_any(dtype(), [&](auto zero) {
    using T = decltype(zero);
    return static_cast<double>(static_cast<const T*>(data())[position]);
  });
}

double Tensor::item() const {
  if (elements() != 1) fail("[tensor] item() wants exactly one element, the tensor is " + spec().text());
  return at(0);
}

View Tensor::view() const {
  data();  // throws where the host cannot read it
  return memory();
}

View Tensor::mutable_view() {
  data();
  return mutable_memory();
}

View Tensor::mutable_memory() {
  if (!has_value()) data();
  if (body_->owned && body_.use_count() == 1) return memory();
  if (!body_->runtime) {
    *this = copy_bytes(body_->data, body_->spec);
  } else {
    const Tensor own = uninitialised(spec(), device());
    own.body_->runtime->queue().copy(own.body_->data, body_->data, memory().bytes());
    *this = own;
  }
  return memory();
}

Tensor Tensor::reshape(const Shape& shape) const {
  if (shape.elements() != elements()) fail("[reshape] wanted " + std::to_string(elements()) + " elements, got shape " + shape.text());
  Tensor result = declared({shape, dtype()});
  result.body_->data = body_->data;
  result.body_->owner = body_->owned ? std::shared_ptr<const void>(body_) : body_->owner;
  result.body_->runtime = body_->runtime;
  return result;
}

Tensor Tensor::cast(DType to) const {
  if (to == dtype()) return *this;
  Tensor result = uninitialised({shape(), to});
  visit_any(dtype(), [&](auto from_zero) {
    using From = decltype(from_zero);
    const From* in = static_cast<const From*>(data());
    visit_any(to, [&](auto to_zero) {
      using To = decltype(to_zero);
      as_tensor([&] {
        std::transform(in, in + elements(), static_cast<To*>(result.body_->data), [](From value) { return converted<To>(value); });
      });
    });
  });
  return result;
}

Tensor Tensor::rows(Index first, Index count) const {
  if (shape().rank() == 0 || first < 0 || count < 0 || first + count > shape()[0]) {
    fail(fmt::format("[tensor] rows {} to {} are outside {}", first, first + count, spec().text()));
  }
  const View part = view().rows(first, count);
  return copy_bytes(part.data, Spec{part.shape, part.dtype});
}

namespace {

void print_axis(std::string& out, const Tensor& tensor, int axis, Index offset) {
  constexpr Index shown = 8;  // of each axis
  if (axis == tensor.shape().rank()) {
    out += is_float(tensor.dtype()) ? fmt::format("{:.6g}", tensor.at(offset)) : fmt::format("{:.0f}", tensor.at(offset));
    return;
  }
  const Index step = tensor.shape().elements(axis + 1, tensor.shape().rank());
  out += '[';
  for (Index i = 0; i < tensor.shape()[axis]; ++i) {
    if (i > 0) out += ", ";
    if (i == shown) {
      out += "...";
      break;
    }
    print_axis(out, tensor, axis + 1, offset + i * step);
  }
  out += ']';
}

}  // namespace

std::string Tensor::text() const {
  if (!body_) return "(empty)";
  std::string out = spec().text() + ' ';
  if (!has_value()) return out + "(declared)";
  if (body_->runtime) return out + "on " + text_of(device());
  print_axis(out, *this, 0, 0);
  return out;
}

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) { return out << tensor.text(); }

}  // namespace wengert
