#include "images.hpp"

#include "data.hpp"
#include "output.hpp"

namespace wengert::command {

Images::Images(const std::string& data, const Script& script, const Model& model, Split split)
    : set_(open_dataset(data, script.data, split)), classes_(model.classes()) {
  if (!data.empty()) {
    set_.want_images("--data", model.image());
    set_.want_classes("--data", classes_);
  }
  real_ = set_.image() == model.image() && set_.classes <= classes_;
  if (!real_) warn("no images " + model.image().text() + " at hand: times are taken on random ones");
}

void Images::fill(Index step, const View& images, std::int32_t* labels) const {
  const Index count = images.shape[0];
  if (real_) {
    std::vector<Index> positions(static_cast<std::size_t>(count));
    for (Index i = 0; i < count; ++i) positions[static_cast<std::size_t>(i)] = (step * count + i) % set_.size();
    return set_.gather(positions.data(), count, images.write<float>(), labels);
  }
  constexpr std::uint32_t factor = 1664525, offset = 1013904223;  // Numerical Recipes' generator
  auto state = static_cast<std::uint32_t>(step);
  for (Index i = 0; i < images.elements(); ++i) {
    state = state * factor + offset;
    images.write<float>()[i] = static_cast<float>(state >> 8) * 0x1p-24f;
  }
  for (Index i = 0; i < count; ++i) labels[i] = static_cast<std::int32_t>((step + i) % classes_);
}

}  // namespace wengert::command
