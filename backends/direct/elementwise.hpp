// The direct rung of everything that is bound by memory: activations, arithmetic, pooling, softmax, batch norm, reorders of layout; f32.
#pragma once

#include <wengert/backends/geometry.hpp>
#include <wengert/backends/winners.hpp>
#include <wengert/engine/view.hpp>

namespace wengert::direct {

// For all: nothing behind an input is read; outputs are written whole, padding lanes of nhwc8 as zero, and not a byte beyond.

// out[i] = f(a[i] [, b[i]]) over a run of elements; out may be a or b. NaN passes through relu and maximum. Bounds against the exact value:
// tanh, sigmoid, exp, log 4 units in the last place.
enum class Unary : std::uint8_t { relu, negate, exp, log, sqrt, tanh, sigmoid };
enum class Binary : std::uint8_t {
  add,
  subtract,
  multiply,
  divide,
  maximum,
  gate  // 0 where b <= 0, else a (also where b is NaN): the derivative of relu
};
void unary(Unary f, Index count, const float* a, float* out);
void binary(Binary f, Index count, const float* a, const float* b, float* out);
void affine(float scale, float shift, Index count, const float* a, float* out);  // scale * a + shift
// Whether f(0[,0]) is 0, so that padding lanes of nhwc8 stay zero.
bool keeps_zero(Unary f);
bool keeps_zero(Binary f);

// Adds b (channels) to every pixel, then ReLU if asked; images of (channels, pixels) in the given layout. Padding lanes stay zero.
void add_channels(Layout layout, Index images, Index channels, Index pixels, const float* x, const float* b, bool relu, float* out);
// out (channels) = sum over images and pixels, in their order.
void sum_channels(Layout layout, Index images, Index channels, Index pixels, const float* x, float* out);

// Between nchw and nhwc8, either way; 4-byte elements (f32 or i32). Padding lanes are written as zero.
void reorder(Layout from, Layout to, Index images, Index channels, Index pixels, const void* in, void* out);

// Max pool with positions h * width + w of the first maximum in row-major order (or null). `relu` clips the values, not the positions.
void max_pool(Layout layout, const PoolGeometry& g, Index images, const float* x, bool relu, float* y, std::int32_t* positions);
// Its gradient, dense: x = 0, then x[position] += y.
void max_pool_data(Layout layout, const PoolGeometry& g, Index images, const float* y, const std::int32_t* positions, float* x);
// Its gradient behind a ReLU as winners: entries where not gate <= 0 (a NaN gate passes, as in op gate). All three inputs are pooled planes in `layout` (nchw or nhwc8).
void winners(Layout layout, const WinnersLayout& to, Index images, Index pixels, const float* y, const std::int32_t* positions,
             const float* gate, float* out);
void average_pool(Layout layout, const PoolGeometry& g, Index images, const float* x, float* y);
void average_pool_data(Layout layout, const PoolGeometry& g, Index images, const float* y, float* x);

// Rows of logits (rows, classes): losses (rows) = log sum exp - logit of the label, and gradient (rows, classes) = (softmax - one hot) * scale,
// each unless null. `probabilities` in place of labels where labels is null: losses = sum p (log sum exp - logit), gradient = (softmax sum p - p) * scale;
// where both are null, losses = log sum exp and gradient = softmax * scale. A label outside [0, classes) gives NaN in its row.
void softmax_cross_entropy(Index rows, Index classes, const float* logits, const std::int32_t* labels, const float* probabilities,
                           float scale, float* losses, float* gradient);

// Batch norm of training over (images, channels, pixels), the channels [first, last) only: several workers share the channels. See ops/batch_norm.hpp
// for the formulas; sums run over images in order. In nhwc8 `first` is a multiple of 8, and so is `last` unless it is `channels`.
struct BatchNorm {
  Layout layout = Layout::nhwc8;
  Index images = 0, channels = 0, pixels = 0;
  float epsilon = 1e-5f;
};
void batch_norm(const BatchNorm& size, Index first, Index last, const float* x, const float* gamma, const float* beta, bool relu, float* y,
                float* mean, float* variance);
// Its gradients, from the mean and variance that it gave; dx may be null. Where ReLU came behind, dy is to be gated first.
void batch_norm_data(const BatchNorm& size, Index first, Index last, const float* x, const float* gamma, const float* mean,
                     const float* variance, const float* dy, float* dx, float* dgamma, float* dbeta);

}  // namespace wengert::direct
