#include <wengert/models/files/atomic_file.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <string>
#include <system_error>

#include <wengert/engine/error.hpp>

namespace wengert {
namespace {

int sync(int descriptor) {
  int result = 0;
  do {
    result = ::fsync(descriptor);
  } while (result != 0 && errno == EINTR);
  return result;
}

// Makes the rename itself durable. Returns an errno, or 0. Folders that cannot be opened for reading, and file systems
// that do not sync folders, are no failure: the file is in place.
int sync_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return errno == EACCES ? 0 : errno;
  int error = sync(descriptor) == 0 ? 0 : errno;
  if (error == EINVAL || error == ENOTSUP) error = 0;
  if (::close(descriptor) != 0 && error == 0) error = errno;
  return error;
}

std::filesystem::path folder_of(const std::filesystem::path& file) {
  return file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
}

constexpr std::string_view temporary_prefix = ".wengert-";  // then the process, a number and .tmp

// A process that was killed leaves its temporary file. A process of another machine on a shared folder may be alive although this one
// does not know it: hence the age.
void remove_stale(const std::filesystem::path& folder) {
  constexpr std::chrono::hours old_enough(1);
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.rfind(temporary_prefix, 0) != 0 || entry->path().extension() != ".tmp") continue;
    pid_t process = 0;
    std::from_chars(name.data() + temporary_prefix.size(), name.data() + name.size(), process);
    if (process <= 0 || ::kill(process, 0) == 0 || errno != ESRCH) continue;
    std::error_code gone;
    const auto written = std::filesystem::last_write_time(entry->path(), gone);
    if (!gone && std::filesystem::file_time_type::clock::now() - written > old_enough) ::unlink(entry->path().c_str());
  }
}

}  // namespace

void AtomicFile::fail_with(const char* wanted, int error) const {
  fail("[save '" + path_.string() + "'] wanted " + wanted + ", found: " + std::generic_category().message(error));
}

AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(path) {
  if (!path.has_filename()) fail("[save '" + path.string() + "'] wanted the name of a file, found a folder's");
  std::error_code error;
  target_ = std::filesystem::weakly_canonical(path, error);
  if (error) fail_with("a path that can be followed", error.value());
  struct stat previous {};
  const bool exists = ::stat(target_.c_str(), &previous) == 0;
  if (!exists && errno != ENOENT) fail_with("to look at the file", errno);
  if (exists && !S_ISREG(previous.st_mode)) {
    fail("[save '" + path_.string() + "'] wanted a regular file to replace, found " +
         (S_ISDIR(previous.st_mode) ? "a folder" : "a device, pipe or socket"));
  }
  // Renaming would go over a write-protected file; the protection is meant.
  if (exists && ::access(target_.c_str(), W_OK) != 0) fail_with("to replace the file", errno);

  remove_stale(folder_of(target_));
  static std::atomic<unsigned> counter{0};
  constexpr int attempts = 1000;  // names left behind by a killed process of the same number are passed over
  for (int attempt = 0; attempt < attempts && descriptor_ < 0; ++attempt) {
    temporary_ =
        folder_of(target_) / (std::string(temporary_prefix) + std::to_string(::getpid()) + "-" + std::to_string(counter++) + ".tmp");
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && errno != EEXIST) break;
  }
  if (descriptor_ < 0) fail_with("to create a file in its folder", errno);
  // A file system without permissions refuses; the new file then has its default ones.
  if (exists) static_cast<void>(::fchmod(descriptor_, previous.st_mode & 0777));
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_with("to write the file", errno);
    if (written == 0) fail_with("to write the file", ENOSPC);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

void AtomicFile::commit() {
  if (sync(descriptor_) != 0) fail_with("to sync the file", errno);
  const int closing = descriptor_;
  descriptor_ = -1;
  if (::close(closing) != 0) fail_with("to close the file", errno);
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) fail_with("to rename the file into its place", errno);
  temporary_.clear();
  if (const int error = sync_folder(folder_of(target_)); error != 0) fail_with("to sync the folder", error);
}

void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  write_file_atomically(path, std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace wengert
