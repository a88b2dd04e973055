// Writing a file so that it is there whole or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace wengert {

// Writes aside, in the folder of the target, under a temporary name; commit() syncs, renames over the target and syncs
// the folder. Until commit() renames, the previous file stays as it was; a failure or a destructor without commit()
// removes the temporary; one that a killed process left an hour ago or more is removed by the next file written there. A symbolic
// link is followed, the target's permissions are kept. Constructing one is also the way to find out early that a path cannot be
// written. Every failure throws
// Error "[save 'path'] wanted ..., found: No space left on device".
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void commit();  // nothing may be written after it

 private:
  [[noreturn]] void fail_with(const char* wanted, int error) const;

  std::filesystem::path path_;       // as the user named it
  std::filesystem::path target_;     // with links followed
  std::filesystem::path temporary_;  // empty once renamed or removed
  int descriptor_ = -1;
};

void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

}  // namespace wengert
