// Reading a file that is plain or gzipped, told apart by its first two bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <wengert/models/files/input_file.hpp>

namespace wengert {

// Gives the decoded bytes from front to back, decoding only what is asked for. Truncated and corrupt streams, wrong
// checksums and bytes after the stream throw Error "[who 'path'] wanted ..., found ...".
class GzipReader {
 public:
  GzipReader(const std::filesystem::path& path, std::string who);
  ~GzipReader();

  const InputFile& file() const;  // the file on disk, for its size and its messages

  // Fewer bytes than asked for only at the end.
  std::size_t read(std::span<std::byte> out);

  // The next bytes, at most `most` of them. Memory grows with what is really there, so a forged size costs nothing.
  std::vector<std::uint8_t> read_up_to(std::uint64_t most);

  // Throws where bytes are left. Also checks the checksum of a gzip stream, which stands at its end.
  void expect_end();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The whole of a plain or gzipped file; throws where it decodes to more than `most` bytes.
std::vector<std::uint8_t> read_plain_or_gzip(const std::filesystem::path& path, const std::string& who, std::uint64_t most);

}  // namespace wengert
