#include <wengert/backends/cuda/conv.hpp>

#include <wengert/backends/cuda/refusal.hpp>

namespace wengert::cuda {

ConvRung no_cudnn() {
  static constexpr auto refuse = [](const ConvGeometry&, Index) {
    return std::string("there is no cuDNN: this build has found none, or the device is emulated");
  };
  const ConvDirection none{
      refuse,
      [](const ConvGeometry&, Index) { return Index{0}; },
      [](Queue& queue, const ConvGeometry& g, Index images, const float*, const float*, float*, void*) { want(queue, refuse(g, images)); },
  };
  return {none, none, none};
}

}  // namespace wengert::cuda
