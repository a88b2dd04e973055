// Files written aside and renamed: whatever fails, the previous file stays whole and nothing is left lying about.
#include <doctest/doctest.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <string>

#include <wengert/engine/error.hpp>
#include <wengert/models/files/atomic_file.hpp>

#include "scratch_folder.hpp"

using namespace wengert;
using namespace wengert::test;

namespace {

// Writing beyond `bytes` fails with EFBIG while it lives: the nearest thing to a full disk that needs no disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

std::string save_message(const std::filesystem::path& path, const std::string& text) {
  return message_of<Error>([&] { write_file_atomically(path, text); });
}

}  // namespace

TEST_CASE("atomic file: new and replaced, with the permissions kept") {
  ScratchFolder folder;
  const std::filesystem::path path = folder / "model";
  write_file_atomically(path, "first");
  CHECK(slurp(path) == "first");
  REQUIRE(chmod(path.c_str(), 0640) == 0);
  write_file_atomically(path, std::string(3000000, 'x'));
  CHECK(slurp(path) == std::string(3000000, 'x'));
  struct stat status {};
  REQUIRE(stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);
  CHECK(folder.files() == 1);
  // A name as long as the file system allows leaves no room for a suffix.
  write_file_atomically(folder / std::string(255, 'n'), "long");
  CHECK(slurp(folder / std::string(255, 'n')) == "long");
}

TEST_CASE("atomic file: a link is followed, a relative path works") {
  ScratchFolder folder;
  write_file_atomically(folder / "target", "old");
  std::filesystem::create_symlink("target", folder / "link");
  write_file_atomically(folder / "link", "new");
  CHECK(std::filesystem::is_symlink(folder / "link"));
  CHECK(slurp(folder / "target") == "new");

  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  const std::string message = save_message("relative", "here");
  std::filesystem::current_path(before);
  CHECK(message == "no error");
  CHECK(slurp(folder / "relative") == "here");
}

TEST_CASE("atomic file: a full disk leaves the previous file") {
  ScratchFolder folder;
  const std::filesystem::path path = folder / "model";
  write_file_atomically(path, "previous");
  std::string message;
  {
    FileSizeLimit limit(100000);
    message = save_message(path, std::string(300000, 'x'));
  }
  CHECK(message == "[save '" + path.string() + "'] wanted to write the file, found: File too large");
  CHECK(slurp(path) == "previous");
  CHECK(folder.files() == 1);
}

TEST_CASE("atomic file: without commit nothing changes") {
  ScratchFolder folder;
  write_file_atomically(folder / "model", "previous");
  {
    AtomicFile file(folder / "model");
    file.write("half of it");
    CHECK(folder.files() == 2);
  }
  CHECK(slurp(folder / "model") == "previous");
  CHECK(folder.files() == 1);
}

TEST_CASE("atomic file: what cannot be written is refused, naming the path") {
  ScratchFolder folder;
  spill(folder / "file", "x");
  const auto refused = [&](const std::filesystem::path& path, const char* reason) {
    const std::string message = save_message(path, "text");
    CAPTURE(message);
    CHECK(contains(message, "[save '" + path.string() + "'] wanted "));
    CHECK(contains(message, reason));
  };
  refused(folder / "absent" / "model", "No such file or directory");
  refused(folder / "file" / "model", "Not a directory");
  refused(folder.path(), "found a folder");
  refused(folder / "absent" / "", "a folder's");
  refused("", "a folder's");
  refused("/dev/full", "a device");
  refused(folder / std::string(300, 'n'), "File name too long");
  CHECK(folder.files() == 1);
  if (geteuid() != 0) {  // permissions do not bind root
    REQUIRE(chmod((folder / "file").c_str(), 0444) == 0);
    refused(folder / "file", "Permission denied");
    REQUIRE(chmod(folder.path().c_str(), 0555) == 0);
    refused(folder / "new", "Permission denied");
    REQUIRE(chmod(folder.path().c_str(), 0755) == 0);
  }
}

TEST_CASE("a temporary file that a dead process left long ago is removed, others stay") {
  const ScratchFolder folder;
  constexpr const char* dead = ".wengert-999999999-0.tmp";  // above the kernel's largest process number
  const std::string alive = ".wengert-" + std::to_string(::getppid()) + "-0.tmp";
  for (const std::string& name : {std::string(dead), std::string(".wengert-999999999-1.tmp"), alive, std::string("notes.tmp")}) {
    write_file_atomically(folder / name, "half");
    const auto now = std::filesystem::file_time_type::clock::now();
    if (name != ".wengert-999999999-1.tmp") std::filesystem::last_write_time(folder / name, now - std::chrono::hours(2));
  }
  write_file_atomically(folder / "model", "whole");
  CHECK_FALSE(std::filesystem::exists(folder / dead));
  CHECK(folder.files() == 4);
}
