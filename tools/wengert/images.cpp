#include "images.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include "data.hpp"
#include "output.hpp"

namespace wengert::command {

namespace {

Dataset random_set(const Shape& image, Index classes, Index count) {
  constexpr std::uint32_t factor = 1664525, offset = 1013904223;  // Numerical Recipes' generator
  constexpr int best_bits = 24;                                   // those above change most
  Dataset set{Tensor::uninitialised({{count, image[0], image[1], image[2]}, DType::u8}), Tensor::uninitialised({{count}, DType::i32}),
              classes};
  std::uint8_t* const pixels = set.images.mutable_view().write<std::uint8_t>();
  std::int32_t* const labels = set.labels.mutable_view().write<std::int32_t>();
  std::uint32_t state = 1;
  for (Index i = 0; i < set.images.elements(); ++i) {
    state = state * factor + offset;
    pixels[i] = static_cast<std::uint8_t>(state >> best_bits);
  }
  for (Index i = 0; i < count; ++i) labels[i] = static_cast<std::int32_t>(i % classes);
  return set;
}

}  // namespace

Images::Images(const std::string& data, const Script& script, const Model& model, Split split, Index batch)
    : set_(open_dataset(data, script.data, split)) {
  const Index classes = model.classes();
  if (!data.empty()) {
    set_.want_images("--data", model.image());
    set_.want_classes("--data", classes);
  }
  if (set_.image() == model.image() && set_.classes <= classes) return;
  constexpr Index batches = 20;
  warn("no images " + model.image().text() + " at hand: times are taken on random ones");
  set_ = random_set(model.image(), classes, batches * batch);
}

void Images::fill(Index step, const View& images, std::int32_t* labels) const {
  std::vector<Index> positions(static_cast<std::size_t>(images.shape[0]));
  for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = (step * images.shape[0] + static_cast<Index>(i)) % set_.size();
  set_.gather(positions.data(), images.shape[0], images.write<float>(), labels);
}

}  // namespace wengert::command
