// Rung 1 of the softmax family, the reference: plain loops over rows, the row's maximum taken off first.
//   wengert bench op softmax_cross_entropy
#pragma once

#include <wengert/engine/view.hpp>

namespace wengert::naive {

// Rows are the last axis; x and y have one shape and floating dtype.
void softmax(const View& x, const View& y);
void log_softmax(const View& x, const View& y);

// logits (N,C), labels (N) i32 or (N,C) -> loss (N), probabilities (N,C). Throws Error for a class outside [0, C), which counts
// the images from first_image.
void softmax_cross_entropy(const View& logits, const View& labels, const View& loss, const View& probabilities, Index first_image = 0);

}  // namespace wengert::naive
