// Gathering a batch: one thread a pixel.
#pragma once

#include <wengert/backends/cuda/data.hpp>
#include <wengert/backends/cuda/kernels/axes.hpp>
#include <wengert/backends/cuda/kernels/join.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

struct GatherImages {
  Global<const std::uint8_t> from;
  Global<const std::int32_t> from_labels, positions;
  Global<float> images;
  Global<std::int32_t> labels;
  Divisor pixels;
  Index size = 0, count = 0;  // of the set; of the batch

  WENGERT_DEVICE void operator()(Thread& thread) const {
    for (Index i = thread.global(); i < count * pixels.value(); i += thread.total()) {
      std::uint32_t image = static_cast<std::uint32_t>(i);
      const std::uint32_t pixel = pixels.split(image);
      const Index position = positions.load(image);
      const bool inside = position >= 0 && position < size;
      images.store(i, inside ? static_cast<float>(from.load(position * pixels.value() + pixel)) / 255.0f : not_a_number);
      if (pixel == 0) labels.store(image, inside ? from_labels.load(position) : -1);
    }
  }
};

inline void gather_images(Queue& queue, const DataSet& set, Index count, const std::int32_t* positions, float* images,
                          std::int32_t* labels) {
  const Index elements = count * set.pixels;
  want_elements(queue, elements);
  if (elements == 0) return;
  launch(queue, "gather_images", grid_for(elements),
         GatherImages{{set.images, set.size * set.pixels},
                      {set.labels, set.size},
                      {positions, count},
                      {images, elements},
                      {labels, count},
                      Divisor(set.pixels),
                      set.size,
                      count});
}

inline DataFunctions data_functions() { return {gather_images}; }

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
