// A regular file read from front to back, whose every failure is an Error that names it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace wengert {

// Owns a descriptor. Messages read "[who 'path'] wanted ..., found ...".
class InputFile {
 public:
  // Throws where the path is missing, unreadable or no regular file.
  InputFile(const std::filesystem::path& path, std::string who);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::uint64_t bytes() const { return bytes_; }  // the size when it was opened

  // Fills `out` from where the last read stopped; returns fewer bytes only at the end of the file.
  std::size_t read(std::span<std::byte> out);

  [[noreturn]] void refuse(const std::string& wanted, const std::string& found) const;

 private:
  std::filesystem::path path_;
  std::string who_;
  int descriptor_ = -1;
  std::uint64_t bytes_ = 0;
};

// "00 00 08 03": for messages about a file of another kind.
std::string hexadecimal(std::span<const std::byte> bytes);

}  // namespace wengert
