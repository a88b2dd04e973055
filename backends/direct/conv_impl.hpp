// The kinds of direct convolution kernels that make_conv() chooses from, and what they share. Private to backends/direct/conv*.cpp.
#pragma once

#include <memory>

#include <wengert/backends/direct/conv.hpp>
#include <wengert/backends/direct/conv_lower.hpp>
#include <wengert/backends/direct/conv_rows.hpp>

namespace wengert::direct {

// Parts of a call's workspace, each beginning on a cache line.
class Workspace {
 public:
  Index add(Index floats) {
    const Index at = total_;
    total_ += (floats + 15) / 16 * 16;
    return at;
  }
  Index total() const { return total_; }

 private:
  Index total_ = 0;
};

// An image in nchw of few channels is read as it lies; of many, it goes through blocks.
inline bool reads_planar(const ConvGeometry& g, Layout x) { return x == Layout::nchw && g.channels <= 4; }

// One image between nchw and nhwc8.
void to_blocks(const RowFunctions& rows, Index channels, Index pixels, const float* in, float* out);
void from_blocks(const RowFunctions& rows, Index channels, Index pixels, const float* in, float* out);

// Several groups.
std::unique_ptr<const Conv> make_grouped_conv(const ConvTask& task);

// Each channel a group of one filter; in planes of 8, from a dense y, without pool.
std::unique_ptr<const Conv> make_depthwise_conv(const ConvTask& task);

// Data and weight where the output is one pixel, in planes of 8, from a dense y.
bool has_one_pixel(const ConvTask& task);
std::unique_ptr<const Conv> make_one_pixel_conv(const ConvTask& task);

// Those of one group. Forward, and data from a dense y.
std::unique_ptr<const Conv> make_dense_conv(const ConvTask& task);
// Data and weight from winners.
std::unique_ptr<const Conv> make_winners_conv(const ConvTask& task);
// Weight from a dense y.
std::unique_ptr<const Conv> make_weight_conv(const ConvTask& task);

}  // namespace wengert::direct
