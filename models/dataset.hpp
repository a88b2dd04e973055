// Data sets of labelled images, and MNIST, which is part of the product.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <wengert/engine/tensor.hpp>

namespace wengert {

// Images as bytes; a batch of them becomes f32 in [0,1].
struct Dataset {
  Tensor images;  // u8 (N,C,H,W)
  Tensor labels;  // i32 (N)
  Index classes = 0;
  std::string source = "memory";  // where it is from, for messages; of a folder: its absolute path

  Index size() const { return labels.elements(); }
  Shape image() const;  // (C,H,W)
  // Throws Error "[who] wanted images (1,28,28), the set DIR has (1,64,64)", and where labels go beyond the classes.
  void want_images(const std::string& who, const Shape& wanted) const;
  void want_classes(const std::string& who, Index most) const;
  Dataset slice(Index first, Index count) const;  // throws Error outside the set
  std::string fingerprint() const;                // "60000 images, hash 0123456789abcdef": of all images and labels
  // Throws Error outside the set. The images at these positions as f32 (n,C,H,W) / 255, and their labels i32 (n).
  struct Batch {
    Tensor images, labels;
  };
  Batch gather(const Index* positions, Index count) const;
  // The same, written to memory of the caller's: count * C * H * W floats and count labels.
  void gather(const Index* positions, Index count, float* to_images, std::int32_t* to_labels) const;
};

enum class Split : std::uint8_t { train, test };

// A set in MNIST's four-file IDX form, plain or gzipped, of grey images or of images with channels (files/idx.hpp). Throws Error
// naming the file: missing or broken files, counts of images and labels that differ, no images, a label above 255 classes.
Dataset read_idx_dataset(const std::filesystem::path& folder, Split split);

// Where the installed (or built) product keeps its data: share/wengert beside the library's folder. Throws Error where it is not found.
std::filesystem::path share_folder();

namespace mnist {
Dataset train();  // 60,000
Dataset test();   // 10,000
}  // namespace mnist

}  // namespace wengert
