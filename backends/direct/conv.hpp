// The direct rung of the convolution triple: our own vector kernels, register-tiled, without an unrolled copy; f32.
//   wengert bench conv --kernel direct --shape 64,8,24,24,8,5,5 [--direction forward|data|weight]
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <wengert/backends/geometry.hpp>
#include <wengert/engine/view.hpp>

namespace wengert::direct {

// What is computed, with everything that may be fused to it.
struct ConvTask {
  enum class Direction : std::uint8_t {
    forward,  // y = x * w, then + bias, then ReLU, then max pool
    data,     // x = the gradient of x from y and w, then zero where gate <= 0
    weight    // w = the gradient of w from x and y, summed over the images; the bias gradient beside it
  };
  ConvGeometry geometry = {};
  Direction direction = Direction::forward;
  Layout x = Layout::nhwc8;  // nchw or nhwc8
  Layout y = Layout::nhwc8;  // nchw or nhwc8; data and weight also take winners
  bool bias = false;         // forward and weight
  bool relu = false;         // forward
  bool gate = false;         // data: a value with the shape and layout of x
  std::optional<PoolGeometry> pool =
      {};              // forward: y and positions are those behind the pool; its input is (filters, out_height, out_width)
  Index capacity = 0;  // winners: most entries a channel, see WinnersLayout
};

// One chunk of images. Pointers that the task has no use for are null. Activations in nhwc8 have ceil(C/8)*8 channels, those beyond C
// read as zero and must be written as zero. Buffers are 64-byte aligned and may be over-read by 64 bytes; outputs may not be overrun.
struct ConvCall {
  Index images = 0;
  const float* x = nullptr;
  const float* w = nullptr;     // packed, as pack() made it
  const float* y = nullptr;     // of data and weight
  const float* bias = nullptr;  // (filters), plain
  const float* gate = nullptr;
  float* out = nullptr;  // y of forward, x of data, `partial` of weight
  std::int32_t* positions =
      nullptr;                 // forward with pool: h * out_width + w of the first maximum in row-major order, in the layout of y (or null)
  float* workspace = nullptr;  // workspace_floats(), uninitialised
};

// Tiles, tables and function pointers of a task, made once for a target. Immutable: threads share it.
class Conv {
 public:
  virtual ~Conv() = default;
  virtual std::string describe() const = 0;                    // for listings: "AVX-512, 20 pixels x 8 filters"
  virtual Index packed_floats() const = 0;                     // forward and data
  virtual void pack(const float* w, float* packed) const = 0;  // from plain (filters, channels/groups, kernel_height, kernel_width)
  virtual Index workspace_floats() const = 0;                  // for one call of any number of images
  virtual Index partial_floats() const = 0;                    // weight: the sum over a chunk in the kernel's own layout; partials add up
  virtual void finish(const float* partial, float* w,
                      float* bias) const = 0;        // weight: lays a total out as plain w and bias (filters, or null)
  virtual void run(const ConvCall& call) const = 0;  // overwrites its outputs; allocates nothing
};

// Why there is no kernel for a task, or empty. Geometry of any kind is taken: stride, dilation, groups, depthwise, padding, odd sizes.
std::string refuse_conv(const ConvTask& task);
std::unique_ptr<const Conv> make_conv(const ConvTask& task);

// Winograd's algorithm (Lavin and Gray 2016) with output tiles of m x m: F(2x2,3x3), F(4x4,3x3), F(2x2,5x5). Forward and data, stride 1, no
// dilation, one group. Rounding errors are larger than the direct kernel's: see the bounds in winograd.cpp.
std::string refuse_winograd(const ConvTask& task, Index m);
std::unique_ptr<const Conv> make_winograd(const ConvTask& task, Index m);

}  // namespace wengert::direct
