#include <wengert/models/files/idx.hpp>

#include <array>
#include <cassert>
#include <optional>
#include <string>
#include <system_error>

#include <wengert/engine/error.hpp>
#include <wengert/models/files/gzip.hpp>

namespace wengert {
namespace {

constexpr unsigned unsigned_byte = 0x08;

std::string element_type(unsigned code) {
  switch (code) {
    case unsigned_byte: return "unsigned bytes";
    case 0x09: return "signed bytes";
    case 0x0B: return "16-bit integers";
    case 0x0C: return "32-bit integers";
    case 0x0D: return "32-bit floats";
    case 0x0E: return "64-bit floats";
    default: return "unknown elements (type " + std::to_string(code) + ")";
  }
}

std::string rank_text(unsigned rank) {
  const char* const meaning = rank == 1   ? " dimension (labels)"
                              : rank == 3 ? " dimensions (images)"
                              : rank == 4 ? " dimensions (images with channels)"
                                          : " dimensions";
  return std::to_string(rank) + meaning;
}

std::string sizes_text(const std::vector<Index>& sizes) {
  std::string text;
  for (const Index size : sizes) {
    text += text.empty() ? "(" : ",";
    text += std::to_string(size);
  }
  return text + ")";
}

// Reads the four bytes that open the file and checks them; the caller knows the rank then.
void read_magic(GzipReader& reader, unsigned wanted_rank) {
  std::array<std::byte, 4> magic{};
  const std::size_t count = reader.read(magic);
  const std::string wanted =
      "an IDX file (first bytes " +
      hexadecimal(std::array{std::byte{0}, std::byte{0}, std::byte{unsigned_byte}, static_cast<std::byte>(wanted_rank)}) + ")";
  if (count == 0) reader.file().refuse(wanted, "no bytes");
  if (count < magic.size()) reader.file().refuse(wanted, "only " + hexadecimal(std::span(magic).first(count)));
  const unsigned type = std::to_integer<unsigned>(magic[2]);
  const unsigned rank = std::to_integer<unsigned>(magic[3]);
  if (magic[0] != std::byte{0} || magic[1] != std::byte{0}) reader.file().refuse(wanted, hexadecimal(magic));
  if (type != unsigned_byte) reader.file().refuse(element_type(unsigned_byte), element_type(type));
  if (rank != wanted_rank) reader.file().refuse(rank_text(wanted_rank), rank_text(rank));
}

std::optional<std::filesystem::path> found_idx(const std::filesystem::path& folder, const std::string& stem, const std::string& rank) {
  for (const char* gzip : {"", ".gz"}) {
    for (const char* separator : {"-", "."}) {
      std::filesystem::path candidate = folder / (stem + separator + rank + "-ubyte" + gzip);
      std::error_code ignored;
      if (std::filesystem::exists(candidate, ignored)) return candidate;
    }
  }
  return std::nullopt;
}

std::filesystem::path find_idx(const std::filesystem::path& folder, const std::string& stem, const std::string& rank) {
  if (const auto found = found_idx(folder, stem, rank)) return *found;
  fail("[data '" + folder.string() + "'] wanted the file " + stem + "-" + rank + "-ubyte (or " + stem + "." + rank +
       "-ubyte; plain or with .gz), found neither");
}

}  // namespace

IdxFile read_idx(const std::filesystem::path& path, int wanted_rank, std::uint64_t most) {
  assert(wanted_rank > 0 && wanted_rank < 256);
  const auto rank = static_cast<unsigned>(wanted_rank);
  GzipReader reader(path, "idx");
  read_magic(reader, rank);

  std::vector<std::byte> header(std::size_t{4} * rank);
  if (const std::size_t count = reader.read(header); count < header.size()) {
    reader.file().refuse("a header of " + std::to_string(header.size() + 4) + " bytes",
                         "a file cut off after " + std::to_string(count + 4));
  }
  IdxFile idx;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    Index size = 0;
    for (std::size_t i = 0; i < 4; ++i) size = size * 256 + std::to_integer<Index>(header[4 * axis + i]);
    idx.sizes.push_back(size);
  }
  std::uint64_t elements = 1;
  bool too_many = false;
  for (const Index size : idx.sizes) {
    if (size == 0) reader.file().refuse("positive sizes", "sizes " + sizes_text(idx.sizes));
    too_many = too_many || __builtin_mul_overflow(elements, static_cast<std::uint64_t>(size), &elements);
  }
  if (too_many || elements > most) {
    reader.file().refuse("at most " + std::to_string(most) + " elements", "sizes " + sizes_text(idx.sizes));
  }
  idx.bytes = reader.read_up_to(elements);
  if (idx.bytes.size() < elements) {
    reader.file().refuse(std::to_string(elements) + " elements for sizes " + sizes_text(idx.sizes), std::to_string(idx.bytes.size()));
  }
  reader.expect_end();
  return idx;
}

IdxPair find_idx_pair(const std::filesystem::path& folder, IdxSplit split) {
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) {
    fail("[data '" + folder.string() + "'] wanted a folder with the files of a data set, found " +
         (std::filesystem::exists(folder, error) ? "a file" : "nothing of that name"));
  }
  const std::string stem = split == IdxSplit::train ? "train" : "t10k";
  IdxPair pair;
  const auto with_channels = found_idx(folder, stem + "-images", "idx4");
  if (with_channels && !found_idx(folder, stem + "-images", "idx3")) {
    pair.images = *with_channels;
    pair.image_rank = 4;
  } else {
    pair.images = find_idx(folder, stem + "-images", "idx3");
  }
  pair.labels = find_idx(folder, stem + "-labels", "idx1");
  return pair;
}

}  // namespace wengert
