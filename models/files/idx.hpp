// IDX, the file format of MNIST: a byte for the element type, one for the rank, big-endian sizes, the elements.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include <wengert/engine/types.hpp>

namespace wengert {

struct IdxFile {
  std::vector<Index> sizes;         // (N,H,W) or (N,C,H,W) of images, (N) of labels; all positive
  std::vector<std::uint8_t> bytes;  // row-major
};

inline constexpr std::uint64_t idx_most_bytes = std::uint64_t{1} << 32;

// Reads a plain or gzipped file of unsigned bytes. Throws Error "[idx 'path'] wanted ..., found ..." where it is missing, truncated,
// corrupt, followed by other bytes, of another rank or element type, or larger than `most` bytes.
// Memory is taken as elements are decoded, never on the header's word.
IdxFile read_idx(const std::filesystem::path& path, int wanted_rank, std::uint64_t most = idx_most_bytes);

enum class IdxSplit : std::uint8_t { train, test };

struct IdxPair {
  std::filesystem::path images;
  int image_rank = 3;  // 4 where the images have channels
  std::filesystem::path labels;
};

// The two files of a set under MNIST's names: train-images-idx3-ubyte, t10k-labels-idx1-ubyte and so on, also spelt
// ".idx3-ubyte" and with ".gz"; a plain file goes before a gzipped one. Images with channels, (N,C,H,W), are "train-images-idx4-ubyte",
// taken where there is no idx3. Throws Error "[data 'folder'] ..." naming the missing file.
IdxPair find_idx_pair(const std::filesystem::path& folder, IdxSplit split);

}  // namespace wengert
