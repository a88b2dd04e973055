#include <wengert/models/dataset.hpp>

#include <algorithm>

#include <dlfcn.h>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>
#include <wengert/models/files/idx.hpp>

namespace wengert {

namespace fs = std::filesystem;

Shape Dataset::image() const { return Shape{images.shape()[1], images.shape()[2], images.shape()[3]}; }

Dataset Dataset::slice(Index first, Index count) const {
  if (first < 0 || count < 0 || first + count > size()) {
    fail(fmt::format("[data] wanted images {} to {} of a set of {}", first, first + count, size()));
  }
  return {images.rows(first, count), labels.rows(first, count), classes};
}

Dataset::Batch Dataset::gather(const Index* positions, Index count) const {
  const Shape shape = image();
  const Index pixels = shape.elements();
  Tensor picked = Tensor::uninitialised({{count, shape[0], shape[1], shape[2]}, DType::f32});
  Tensor classes_of = Tensor::uninitialised({{count}, DType::i32});
  float* const out = picked.mutable_view().write<float>();
  std::int32_t* const out_labels = classes_of.mutable_view().write<std::int32_t>();
  const std::uint8_t* const in = images.values<std::uint8_t>().data();
  const std::int32_t* const in_labels = labels.values<std::int32_t>().data();
  constexpr float white = 255.0f;
  for (Index i = 0; i < count; ++i) {
    const std::uint8_t* const from = in + positions[i] * pixels;
    std::transform(from, from + pixels, out + i * pixels, [](std::uint8_t grey) { return static_cast<float>(grey) / white; });
    out_labels[i] = in_labels[positions[i]];
  }
  return {picked, classes_of};
}

Dataset read_idx_dataset(const fs::path& folder, Split split) {
  const IdxPair files = find_idx_pair(folder, split == Split::train ? IdxSplit::train : IdxSplit::test);
  constexpr int label_rank = 1;
  IdxFile images = read_idx(files.images, files.image_rank);
  const IdxFile labels = read_idx(files.labels, label_rank);
  if (images.sizes[0] != labels.sizes[0]) {
    fail(fmt::format("[data] wanted as many labels as images, found {} images in '{}' and {} labels in '{}'", images.sizes[0], files.images.string(), labels.sizes[0], files.labels.string()));
  }
  Dataset set;
  if (files.image_rank == 3) images.sizes.insert(images.sizes.begin() + 1, 1);  // grey: one channel
  set.images = Tensor::copy(images.bytes.data(), Shape{images.sizes[0], images.sizes[1], images.sizes[2], images.sizes[3]});
  const std::vector<std::int32_t> classes(labels.bytes.begin(), labels.bytes.end());
  set.labels = Tensor::copy(classes.data(), Shape{labels.sizes[0]});
  set.classes = 1 + *std::max_element(classes.begin(), classes.end());
  return set;
}

fs::path share_folder() {
  Dl_info here{};
  if (dladdr(reinterpret_cast<const void*>(&share_folder), &here) != 0 && here.dli_fname != nullptr) {
    std::error_code ignored;
    fs::path folder = fs::canonical(here.dli_fname, ignored).parent_path();
    for (int up = 0; up < 4 && folder.has_parent_path(); ++up) {  // lib/, lib/x86_64-linux-gnu/, bin/
      folder = folder.parent_path();
      if (fs::is_directory(folder / "share" / "wengert", ignored)) return folder / "share" / "wengert";
    }
  }
  fail("[data] wanted share/wengert beside the folder of the library, found none; name the data with --data DIR");
}

namespace mnist {
Dataset train() { return read_idx_dataset(share_folder() / "mnist", Split::train); }
Dataset test() { return read_idx_dataset(share_folder() / "mnist", Split::test); }
}  // namespace mnist

}  // namespace wengert
