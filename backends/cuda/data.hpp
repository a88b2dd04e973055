// A batch out of a data set that lies on a CUDA device as bytes.
#pragma once

#include <wengert/backends/cuda/queue.hpp>

namespace wengert::cuda {

// images (size, pixels) and labels (size).
struct DataSet {
  const std::uint8_t* images = nullptr;
  const std::int32_t* labels = nullptr;
  Index size = 0, pixels = 0;
};

struct DataFunctions {
  // The images at these positions as f32 (count, pixels) / 255, and their labels: the bits of Dataset::gather(). A position outside the set
  // gives NaN and the label -1.
  void (*gather_images)(Queue& queue, const DataSet& set, Index count, const std::int32_t* positions, float* images, std::int32_t* labels);
};

DataFunctions device_data_functions();

}  // namespace wengert::cuda
