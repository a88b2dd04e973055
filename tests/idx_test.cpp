// IDX files, plain and gzipped, whole and damaged in every way.
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <zlib.h>

#include <wengert/engine/error.hpp>
#include <wengert/models/dataset.hpp>
#include <wengert/models/files/gzip.hpp>
#include <wengert/models/files/idx.hpp>

#include "scratch_folder.hpp"

using namespace wengert;
using namespace wengert::test;

namespace {

std::string idx_bytes(unsigned type, const std::vector<std::uint32_t>& sizes, std::size_t elements) {
  std::string text{'\0', '\0', static_cast<char>(type), static_cast<char>(sizes.size())};
  for (const std::uint32_t size : sizes) {
    for (const unsigned shift : {24U, 16U, 8U, 0U}) text += static_cast<char>((size >> shift) & 255U);
  }
  for (std::size_t i = 0; i < elements; ++i) text += static_cast<char>((i * 37 + 11) & 255U);
  return text;
}

std::string gzipped(const std::string& plain) {
  z_stream stream{};
  constexpr int gzip_window = 15 + 16;
  REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, gzip_window, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string packed(deflateBound(&stream, plain.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

// What read_idx says of these bytes.
std::string idx_message(const ScratchFolder& folder, const std::string& bytes, int rank = 3) {
  spill(folder / "set", bytes);
  return message_of<Error>([&] { read_idx(folder / "set", rank); });
}

}  // namespace

TEST_CASE("idx: plain, gzipped and in several gzip members") {
  ScratchFolder folder;
  const std::string plain = idx_bytes(8, {5, 3, 4}, 60);
  for (const std::string& stored : {plain, gzipped(plain), gzipped(plain.substr(0, 9)) + gzipped(plain.substr(9))}) {
    spill(folder / "set", stored);
    const IdxFile idx = read_idx(folder / "set", 3);
    CHECK(idx.sizes == std::vector<Index>{5, 3, 4});
    REQUIRE(idx.bytes.size() == 60);
    CHECK(idx.bytes[0] == 11);
    CHECK(idx.bytes[59] == ((59 * 37 + 11) & 255));
  }
}

TEST_CASE("idx: more than one buffer, and the growing of memory") {
  ScratchFolder folder;
  const std::string plain = idx_bytes(8, {5000, 28, 28}, std::size_t{5000} * 784);
  for (const std::string& stored : {plain, gzipped(plain)}) {
    spill(folder / "set", stored);
    const IdxFile idx = read_idx(folder / "set", 3);
    CHECK(std::string(idx.bytes.begin(), idx.bytes.end()) == plain.substr(16));
  }
}

TEST_CASE("idx: each fault has its message") {
  ScratchFolder folder;
  const auto refused = [&](const std::string& bytes, const std::string& wanted_and_found, int rank = 3) {
    for (const std::string& stored : {bytes, gzipped(bytes)}) {
      CHECK(idx_message(folder, stored, rank) == "[idx '" + (folder / "set").string() + "'] " + wanted_and_found);
    }
  };
  refused("", "wanted an IDX file (first bytes 00 00 08 03), found no bytes");
  refused(std::string("\0\0", 2), "wanted an IDX file (first bytes 00 00 08 03), found only 00 00");
  refused("\x89PNG....", "wanted an IDX file (first bytes 00 00 08 03), found 89 50 4e 47");
  refused(idx_bytes(0x0D, {1, 1, 1}, 4), "wanted unsigned bytes, found 32-bit floats");
  refused(idx_bytes(0x77, {1, 1, 1}, 4), "wanted unsigned bytes, found unknown elements (type 119)");
  refused(idx_bytes(8, {7}, 7), "wanted 3 dimensions (images), found 1 dimension (labels)");
  refused(idx_bytes(8, {2, 3, 4}, 24), "wanted 1 dimension (labels), found 3 dimensions (images)", 1);
  refused(idx_bytes(8, {2, 3, 4}, 24).substr(0, 11), "wanted a header of 16 bytes, found a file cut off after 11");
  refused(idx_bytes(8, {2, 0, 4}, 0), "wanted positive sizes, found sizes (2,0,4)");
  refused(idx_bytes(8, {2, 3, 4}, 23), "wanted 24 elements for sizes (2,3,4), found 23");
  refused(idx_bytes(8, {2, 3, 4}, 25), "wanted the end of the data after 40 bytes, found more bytes");
  refused(idx_bytes(8, {60000, 28, 28}, 100), "wanted 47040000 elements for sizes (60000,28,28), found 100");
  refused(idx_bytes(8, {0xffffffff, 0xffffffff, 0xffffffff}, 9),
          "wanted at most 4294967296 elements, found sizes (4294967295,4294967295,4294967295)");
  // Under the limit, yet forged: memory for it must not be taken.
  refused(idx_bytes(8, {0xffffffff, 1, 1}, 9), "wanted 4294967295 elements for sizes (4294967295,1,1), found 9");
}

TEST_CASE("idx: files that are none") {
  ScratchFolder folder;
  const auto message = [](const std::filesystem::path& path) { return message_of<Error>([&] { read_idx(path, 1); }); };
  CHECK(message(folder / "absent") ==
        "[idx '" + (folder / "absent").string() + "'] wanted a file that can be read, found No such file or directory");
  CHECK(contains(message(folder.path()), "wanted a regular file, found a folder"));
  CHECK(contains(message("/dev/zero"), "wanted a regular file, found a device"));
}

TEST_CASE("idx: a gzip stream cut anywhere or with any bit flipped is an error or the same data") {
  ScratchFolder folder;
  const std::string plain = idx_bytes(8, {5, 3, 4}, 60);
  const std::string packed = gzipped(plain);
  for (const std::string& stored : {plain, packed}) {
    for (std::size_t length = 0; length < stored.size(); ++length) {
      CAPTURE(length);
      CHECK(contains(idx_message(folder, stored.substr(0, length)), "] wanted "));
    }
  }
  for (std::size_t bit = 0; bit < packed.size() * 8; ++bit) {
    std::string damaged = packed;
    damaged[bit / 8] = static_cast<char>(static_cast<unsigned char>(damaged[bit / 8]) ^ (1U << (bit % 8)));
    spill(folder / "set", damaged);
    CAPTURE(bit);
    std::vector<std::uint8_t> bytes;
    const std::string message = message_of<Error>([&] { bytes = read_idx(folder / "set", 3).bytes; });
    if (message == "no error") CHECK(std::string(bytes.begin(), bytes.end()) == plain.substr(16));
    else CHECK(contains(message, "] wanted "));
  }
  for (std::size_t at = 0; at < 16; ++at) {
    for (unsigned value = 0; value < 256; ++value) {
      std::string damaged = plain;
      damaged[at] = static_cast<char>(value);
      if (damaged != plain) CHECK(contains(idx_message(folder, damaged), "] wanted "));
    }
  }
  CHECK(contains(idx_message(folder, packed + "x"), "] wanted "));
}

TEST_CASE("gzip: a bomb stops at the limit, and so does a plain file") {
  ScratchFolder folder;
  spill(folder / "bomb", gzipped(std::string(50000000, '\0')));
  spill(folder / "plain", std::string(2000, 'p'));
  for (const char* name : {"bomb", "plain"}) {
    CHECK(message_of<Error>([&] { read_plain_or_gzip(folder / name, "script", 1000); }) ==
          "[script '" + (folder / name).string() + "'] wanted the end of the data after 1000 bytes, found more bytes");
  }
  CHECK(read_plain_or_gzip(folder / "plain", "script", 2000).size() == 2000);
  CHECK(read_plain_or_gzip(folder / "bomb", "script", 60000000).size() == 50000000);
}

TEST_CASE("idx: the files of a set are found under every spelling") {
  ScratchFolder folder;
  CHECK(message_of<Error>([&] { find_idx_pair(folder.path(), IdxSplit::train); }) ==
        "[data '" + folder.path().string() +
            "'] wanted the file train-images-idx3-ubyte (or train-images.idx3-ubyte; plain or with .gz), found neither");
  spill(folder / "train-images.idx3-ubyte", "");
  spill(folder / "train-labels-idx1-ubyte.gz", "");
  spill(folder / "t10k-images-idx3-ubyte", "");
  spill(folder / "t10k-images-idx3-ubyte.gz", "");
  spill(folder / "t10k-labels.idx1-ubyte.gz", "");
  const IdxPair train = find_idx_pair(folder.path(), IdxSplit::train);
  CHECK(train.images == folder / "train-images.idx3-ubyte");
  CHECK(train.labels == folder / "train-labels-idx1-ubyte.gz");
  const IdxPair test = find_idx_pair(folder.path(), IdxSplit::test);
  CHECK(test.images == folder / "t10k-images-idx3-ubyte");
  CHECK(test.labels == folder / "t10k-labels.idx1-ubyte.gz");
  CHECK(train.image_rank == 3);
  spill(folder / "t10k-images-idx4-ubyte", "");  // not while there are grey ones
  CHECK(find_idx_pair(folder.path(), IdxSplit::test).image_rank == 3);
  CHECK(contains(message_of<Error>([&] { find_idx_pair(folder / "absent", IdxSplit::test); }), "found nothing of that name"));
  CHECK(contains(message_of<Error>([&] { find_idx_pair(test.images, IdxSplit::test); }), "found a file"));
}

TEST_CASE("idx: a set of images with channels") {
  ScratchFolder folder;
  spill(folder / "train-images-idx4-ubyte", idx_bytes(8, {2, 3, 4, 5}, 120));
  spill(folder / "train-labels-idx1-ubyte", idx_bytes(8, {2}, 2));
  const Dataset set = read_idx_dataset(folder.path(), Split::train);
  CHECK(set.images.shape() == Shape{2, 3, 4, 5});
  CHECK(set.images.values<std::uint8_t>()[119] == ((119 * 37 + 11) & 255));
  spill(folder / "train-images-idx4-ubyte", idx_bytes(8, {2, 3, 4}, 24));
  CHECK(contains(message_of<Error>([&] { read_idx_dataset(folder.path(), Split::train); }),
                 "wanted 4 dimensions (images with channels), found 3 dimensions (images)"));
}
