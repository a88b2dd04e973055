// The direct rung of the matrix product: register-tiled kernels for the small and skinny sizes of these networks, plain row-major operands; f32.
#pragma once

#include <wengert/engine/types.hpp>

namespace wengert::direct {

// The three products of a linear layer y = x w^T with x (rows, in), w (out, in), y (rows, out). Plain layout serves all three, so
// that parameters need no packing. Results of a row depend on that row alone (any cut of the rows gives the same bits);
// `weight` sums over rows in their order. Over-reads of up to 64 bytes behind an operand happen.
struct Linear {
  Index rows = 0, in = 0, out = 0;
};

// y = x w^T [+ bias (out)] [then ReLU]. NaN passes through the ReLU.
void linear_forward(const Linear& size, const float* x, const float* w, const float* bias, bool relu, float* y);
// x = y w, then zero where gate (rows, in) <= 0 (a NaN in the gate lets it pass) unless gate is null.
void linear_data(const Linear& size, const float* y, const float* w, const float* gate, float* x);
// Rows [first, last) of w = y^T x, and of the bias gradient (sums of y's columns) unless bias is null.
void linear_weight(const Linear& size, const float* x, const float* y, Index first, Index last, float* w, float* bias);

// One step of Adam (Kingma and Ba 2015) with decoupled weight decay on a run of elements.
struct AdamStep {
  double beta1 = 0, beta2 = 0;  // 1 - beta is formed before rounding to float, as in ops/optimiser.cpp
  float epsilon = 0;
  float rate = 0;         // of this step
  float correction1 = 1;  // 1 - beta1^t
  float correction2 = 1;  // 1 - beta2^t
  float decay = 0;        // weight decay
};
void adam(const AdamStep& step, Index count, const float* gradient, float* p, float* m, float* v);
// linear_weight and adam in one: the gradient never leaves the registers. w, m, v are (out, in), updated in place in rows [first, last).
void linear_weight_adam(const Linear& size, const AdamStep& step, const float* x, const float* y, Index first, Index last, float* w,
                        float* m, float* v);

// One step of SGD: velocity = momentum velocity + (gradient + decay p), p -= rate velocity.
void sgd(float rate, float momentum, float decay, Index count, const float* gradient, float* p, float* velocity);

// c (rows, columns) = a (rows, inner) b (inner, columns), either operand stored transposed; for what is no linear layer.
void matmul(Index rows, Index inner, Index columns, bool transpose_a, bool transpose_b, const float* a, const float* b, float* c);

}  // namespace wengert::direct
