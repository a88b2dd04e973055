#include <wengert/models/dataset.hpp>

#include <algorithm>
#include <cstring>

#include <dlfcn.h>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>
#include <wengert/models/files/idx.hpp>

namespace wengert {

namespace fs = std::filesystem;

Shape Dataset::image() const { return Shape{images.shape()[1], images.shape()[2], images.shape()[3]}; }

void Dataset::want_images(const std::string& who, const Shape& wanted) const {
  if (image() != wanted) fail("[" + who + "] wanted images " + wanted.text() + ", the set " + source + " has " + image().text());
}

void Dataset::want_classes(const std::string& who, Index most) const {
  if (classes > most) fail(fmt::format("[{}] wanted labels in [0,{}), the set {} has {} classes", who, most, source, classes));
}

Dataset Dataset::slice(Index first, Index count) const {
  if (first < 0 || count < 0 || first > size() || count > size() - first) {
    fail(fmt::format("[data] wanted {} images from {} on, of a set of {}", count, first, size()));
  }
  return {images.rows(first, count), labels.rows(first, count), classes, source};
}

std::string Dataset::fingerprint() const {
  // Words of 8 bytes, each mixed by a multiplication and a shift; a set of MNIST's size takes milliseconds.
  constexpr std::uint64_t odd = 0x9E3779B97F4A7C15u;
  std::uint64_t hash = odd;
  const auto mix = [&](const Tensor& tensor) {
    const View view = tensor.view();
    const auto* const bytes = static_cast<const unsigned char*>(view.data);
    const auto size = static_cast<std::size_t>(view.bytes());
    for (std::size_t at = 0; at < size; at += sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes + at, std::min(sizeof word, size - at));
      hash = (hash ^ word) * odd;
      hash ^= hash >> 29;
    }
  };
  mix(images);
  mix(labels);
  return fmt::format("{} images, hash {:016x}", size(), hash);
}

Dataset::Batch Dataset::gather(const Index* positions, Index count) const {
  const Index* const wrong =
      std::find_if(positions, positions + std::max<Index>(0, count), [&](Index at) { return at < 0 || at >= size(); });
  if (count < 0) fail(fmt::format("[data] wanted 0 or more images, got {}", count));
  if (wrong != positions + count) fail(fmt::format("[data] wanted positions in [0,{}), got {}", size(), *wrong));
  const Shape shape = image();
  Batch batch{Tensor::uninitialised({{count, shape[0], shape[1], shape[2]}, DType::f32}), Tensor::uninitialised({{count}, DType::i32})};
  gather(positions, count, batch.images.mutable_view().write<float>(), batch.labels.mutable_view().write<std::int32_t>());
  return batch;
}

void Dataset::gather(const Index* positions, Index count, float* to_images, std::int32_t* to_labels) const {
  const Index pixels = image().elements();
  const std::uint8_t* const in = images.values<std::uint8_t>().data();
  const std::int32_t* const in_labels = labels.values<std::int32_t>().data();
  constexpr float white = 255.0f;
  for (Index i = 0; i < count; ++i) {
    const std::uint8_t* const from = in + positions[i] * pixels;
    std::transform(from, from + pixels, to_images + i * pixels, [](std::uint8_t grey) { return static_cast<float>(grey) / white; });
    to_labels[i] = in_labels[positions[i]];
  }
}

Dataset read_idx_dataset(const fs::path& folder, Split split) {
  const IdxPair files = find_idx_pair(folder, split == Split::train ? IdxSplit::train : IdxSplit::test);
  constexpr int label_rank = 1;
  IdxFile images = read_idx(files.images, files.image_rank);
  const IdxFile labels = read_idx(files.labels, label_rank);
  if (images.sizes[0] != labels.sizes[0]) {
    fail(fmt::format("[data] wanted as many labels as images, found {} images in '{}' and {} labels in '{}'", images.sizes[0],
                     files.images.string(), labels.sizes[0], files.labels.string()));
  }
  Dataset set;
  if (files.image_rank == 3) images.sizes.insert(images.sizes.begin() + 1, 1);  // grey: one channel
  set.images = Tensor::copy(images.bytes.data(), Shape{images.sizes[0], images.sizes[1], images.sizes[2], images.sizes[3]});
  const std::vector<std::int32_t> classes(labels.bytes.begin(), labels.bytes.end());
  set.labels = Tensor::copy(classes.data(), Shape{labels.sizes[0]});
  set.classes = 1 + *std::max_element(classes.begin(), classes.end());
  std::error_code ignored;
  fs::path absolute = fs::absolute(folder, ignored).lexically_normal();
  if (!absolute.has_filename()) absolute = absolute.parent_path();  // "DIR/" is DIR
  set.source = absolute.string();
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

namespace {

Dataset read(Split split) {
  Dataset set = read_idx_dataset(share_folder() / "mnist", split);
  set.source = "MNIST";
  return set;
}

}  // namespace

Dataset train() { return read(Split::train); }
Dataset test() { return read(Split::test); }

}  // namespace mnist

}  // namespace wengert
