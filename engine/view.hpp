// All that a kernel sees of a value: where it lies, its shape, its dtype and its layout.
#pragma once

#include <cassert>

#include <wengert/engine/types.hpp>

namespace wengert {

// How the elements of a value lie in memory. Users always see nchw; the others exist inside plans.
enum class Layout : std::uint8_t {
  nchw,     // plain row-major, of any rank
  nhwc8,    // (N, ceil(C/8), H, W, 8) of a value (N,C,H,W): the lanes beyond C hold zeros
  winners,  // the sparse cotangent behind max pool and ReLU: backends/winners.hpp
  packed    // weights as one kernel wants them
};

const char* name(Layout layout);

// Owns nothing. The holder of the buffer keeps it alive during the kernel call.
struct View {
  void* data = nullptr;
  Shape shape;
  DType dtype = DType::f32;
  Layout layout = Layout::nchw;
  Index capacity = 0;  // layout winners: most entries a channel

  template <class T>
  const T* read() const {
    assert(dtype == dtype_of<T>());
    return static_cast<const T*>(data);
  }
  template <class T>
  T* write() const {
    assert(dtype == dtype_of<T>());
    return static_cast<T*>(data);
  }
  Index elements() const { return shape.elements(); }
  Index bytes() const { return elements() * size_of(dtype); }

  // Rows [first, first + count) of axis 0; the same memory. Layout nchw only.
  View rows(Index first, Index count) const;
};

}  // namespace wengert
