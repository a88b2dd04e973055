// Queue::gemm() on the host: plain, summed in double, and strict about sizes.
#pragma once

#include <string>

#include <wengert/backends/cuda/queue.hpp>

namespace wengert::cuda::emulated {

// How many elements of each operand a product reaches over, from its first to its last.
struct ProductExtents {
  Index a = 0, b = 0, c = 0;
};

// Throws Error("[who] gemm: wanted ..., got ...") for negative sizes, a pitch below the length of a stored row, or a c whose matrices overlap.
ProductExtents check_product(const Product& product, const std::string& who);

void reference_product(const Product& product, float alpha, const float* a, const float* b, float beta, float* c);

}  // namespace wengert::cuda::emulated
