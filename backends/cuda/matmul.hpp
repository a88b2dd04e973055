// Matrix products and linear layers as functions over pointers: f32, row-major. Memory is the queue's device's, operands do not overlap, and each
// function returns once its work is queued. Sums are formed in a fixed order. All throw Error where the rung refuses the sizes or a launch fails.
#pragma once

#include <string>

#include <wengert/backends/cuda/optimiser.hpp>
#include <wengert/backends/cuda/queue.hpp>
#include <wengert/backends/geometry.hpp>

namespace wengert::cuda {

// c (batch,rows,columns) = a b; a sum over nothing is 0.
struct MatmulRung {
  std::string (*refuse)(const MatmulGeometry& g);
  void (*run)(Queue& queue, const MatmulGeometry& g, const float* a, const float* b, float* c);
};

// x (rows,in), w (out,in), y (rows,out).
struct LinearSizes {
  Index rows = 0, in = 0, out = 0;
};

// What may follow y = x w^T. Absent: null.
struct LinearEpilogue {
  const float* bias = nullptr;  // (out), added
  bool relu = false;            // then zero where not positive; NaN stays
};

struct LinearRung {
  std::string (*refuse)(const LinearSizes& sizes);
  void (*forward)(Queue& queue, const LinearSizes& sizes, const float* x, const float* w, const LinearEpilogue& epilogue, float* y);
  // x = zero where the gate (rows,in) is not positive, else y w; a NaN in the gate lets it through.
  void (*data_gate)(Queue& queue, const LinearSizes& sizes, const float* y, const float* w, const float* gate, float* x);
};

struct MatmulFunctions {
  MatmulRung plain;  // one thread an output
  MatmulRung warp;   // one warp an output: for few outputs of long sums
  MatmulRung tiled;  // tiles in shared memory and registers
  MatmulRung gemm;   // the vendor's

  LinearRung linear_warp, linear_tiled;
  LinearRung linear_gemm;  // then a second pass over the result

  // Adam's update of w (out,in) with the gradient y^T x, which stays in registers: w.gradient is not read. Nothing is written where the queue's
  // stop_flag is given and holds another number than Queue::none_bad.
  std::string (*refuse_weight_adam)(const LinearSizes& sizes);
  void (*weight_adam)(Queue& queue, const LinearSizes& sizes, const AdamStep& step, const AdamTensor& w, const float* y, const float* x);
};

MatmulFunctions device_matmul_functions();  // kernels/matmul.cu

}  // namespace wengert::cuda
