// Moving, filling and converting elements on a CUDA device: what lies under transpose, pad, slice, concatenate, broadcast_to, fill and cast.
// Any of f32, i32 and u8.
#pragma once

#include <array>

#include <wengert/backends/cuda/queue.hpp>

namespace wengert::cuda {

// One side of a copy: an array of so many elements, where in it the box starts, and the elements between neighbours along each of its axes.
struct BoxSide {
  Index elements = 0;
  Index first = 0;
  std::array<Index, Shape::max_rank> strides = {};
};

struct CopyFunctions {
  // to[first + i . strides] = from[first + i . strides] for every index i of the box. A stride of 0 in `from` repeats an element; no element
  // of `to` is written twice. The two do not overlap.
  void (*box)(Queue& queue, DType dtype, const Shape& box, const void* from, const BoxSide& from_side, void* to, const BoxSide& to_side);
  void (*fill)(Queue& queue, DType dtype, double value, Index count, void* to);  // the dtype holds the value
  // `to_type` holds every value of `from`; floats lose their fraction.
  void (*cast)(Queue& queue, DType from_type, DType to_type, Index count, const void* from, void* to);
};

CopyFunctions device_copy_functions();

}  // namespace wengert::cuda
