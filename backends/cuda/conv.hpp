// The convolution kernels as functions over pointers: f32, plain NCHW, x (N,C,H,W), w (K,C/groups,KH,KW), y (N,K,OH,OW), roles that keep their
// names in all three directions. Memory is the queue's device's, operands do not overlap, and each function returns once its work is queued.
//
// An empty batch leaves nothing to write, except zeros to w and to sums. Sums are formed in a fixed order: the same bits every time. Rungs other
// than the plain one multiply zeros of the padding: beside an infinity or a NaN in w, neighbours of the border may become NaN that it spares. All
// throw Error where the rung refuses the sizes or a launch fails.
#pragma once

#include <string>

#include <wengert/backends/cuda/queue.hpp>
#include <wengert/backends/geometry.hpp>

namespace wengert::cuda {

struct ConvDirection {
  // Why the rung does not take this convolution of so many images; empty where it does.
  std::string (*refuse)(const ConvGeometry& g, Index images);
  // Of the workspace, which is 256-byte aligned and may be null where this is 0.
  Index (*workspace_bytes)(const ConvGeometry& g, Index images);
  void (*run)(Queue& queue, const ConvGeometry& g, Index images, const float* first, const float* second, float* result, void* workspace);
};

// A way to convolve, in the three directions.
struct ConvRung {
  ConvDirection forward;  // x, w -> y
  ConvDirection data;     // y, w -> x
  ConvDirection weight;   // x, y -> w
};

// A rung that refuses everything.
ConvRung no_cudnn();

// What may follow a convolution. Absent: null.
struct ConvEpilogue {
  const float* bias = nullptr;  // (K), added
  bool relu = false;            // then zero where not positive; NaN stays
};

// On the tiled rung; refuses what that refuses in the same direction.
struct ConvFused {
  void (*forward)(Queue& queue, const ConvGeometry& g, Index images, const float* x, const float* w, const ConvEpilogue& epilogue,
                  float* y);

  // With a max pool of the biased values: y (N,K,PH,PW), and the position h * OW + w of each window's first maximum, or first NaN, in its plane;
  // the ReLU comes after. The window is the stride, 2 x 2, 1 x 2 or 2 x 1, without padding.
  std::string (*refuse_pool)(const ConvGeometry& g, const PoolGeometry& pool, Index images);
  void (*forward_pool)(Queue& queue, const ConvGeometry& g, const PoolGeometry& pool, Index images, const float* x, const float* w,
                       const ConvEpilogue& epilogue, float* y, std::int32_t* positions);

  // x = zero where the gate (N,C,H,W) is not positive, else the data gradient; a NaN in the gate lets it through.
  void (*data_gate)(Queue& queue, const ConvGeometry& g, Index images, const float* y, const float* w, const float* gate, float* x);

  // Beside w the sums (K) of y over images and pixels. Its workspace is that of the tiled weight gradient.
  void (*weight_bias)(Queue& queue, const ConvGeometry& g, Index images, const float* x, const float* y, float* w, float* sums,
                      void* workspace);
};

struct ConvFunctions {
  ConvRung plain = {};          // one thread an output (kernels/conv_plain.hpp)
  ConvRung tiled = {};          // tiles in shared memory and registers (kernels/conv_tile.hpp, conv_weight.hpp)
  ConvRung im2col = {};         // patches to a matrix, then the vendor's product (kernels/conv_im2col.hpp)
  ConvRung cudnn = no_cudnn();  // NVIDIA's library, to compare with (runtime/cudnn.cpp); not in the emulator
  ConvFused fused = {};
};

ConvFunctions device_conv_functions();  // kernels/conv.cu; its parts, each in the file of its name, so that they compile side by side:
void add_device_conv_tiled(ConvFunctions& functions);
void add_device_conv_pool(ConvFunctions& functions);
void add_device_conv_weight(ConvFunctions& functions);
void add_device_conv_cudnn(ConvFunctions& functions);

}  // namespace wengert::cuda
