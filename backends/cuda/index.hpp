// Reading and adding at integer positions on a CUDA device. Indices are i32. Sums are added in the order of the indices, as on the CPU.
#pragma once

#include <wengert/backends/cuda/queue.hpp>

namespace wengert::cuda {

// x (outer, size, inner), indices (count), y (outer, count, inner).
struct GatherSizes {
  Index outer = 1, size = 0, inner = 1, count = 0;
};
// x (rows, row_x), positions and y (rows, row_y).
struct AlongSizes {
  Index rows = 0, row_x = 0, row_y = 0;
};

// What an index outside its range stands for is not read or written: gather and take_along give NaN there (integers 0), the others leave it
// out.
struct IndexFunctions {
  // y[a,i,b] = x[a, indices[i], b]; f32, i32 or u8.
  void (*gather)(Queue& queue, DType dtype, const GatherSizes& sizes, const void* x, const std::int32_t* indices, void* y);
  // Its adjoint: x[a,s,b] = sum of y[a,i,b] over the i with indices[i] = s.
  void (*scatter_add)(Queue& queue, const GatherSizes& sizes, const float* y, const std::int32_t* indices, float* x);
  // y (rows, classes): 1 at the class, else 0.
  void (*one_hot)(Queue& queue, Index rows, Index classes, const std::int32_t* at, float* y);

  // y[r,j] = x[r, positions[r,j]].
  void (*take_along)(Queue& queue, const AlongSizes& sizes, const float* x, const std::int32_t* positions, float* y);
  // Its adjoint: x[r,p] = sum of y[r,j] over the j with positions[r,j] = p.
  void (*put_along)(Queue& queue, const AlongSizes& sizes, const float* y, const std::int32_t* positions, float* x);
};

IndexFunctions device_index_functions();

}  // namespace wengert::cuda
