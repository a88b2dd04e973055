#include "store.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>

#include "../json.hpp"

namespace wengert::command::experiment {

namespace {

constexpr const char* must_agree[] = {format_key, "version", "processor", "target", "cores", "quick"};

// In what a header differs from the one wanted, or empty.
std::string difference(const Json& found, const Json& wanted) {
  for (const char* key : must_agree) {
    const Json theirs = found.contains(key) ? found.at(key) : Json(), ours = wanted.at(key);
    if (theirs != ours) return fmt::format("{} {}, this is {}", key, theirs.dump(), ours.dump());
  }
  return {};
}

// A name that is free: results.old.jsonl, results.old.2.jsonl, ...
std::filesystem::path set_aside_name(const std::filesystem::path& folder) {
  std::filesystem::path name = folder / "results.old.jsonl";
  for (int i = 2; std::filesystem::exists(name); ++i) name = folder / fmt::format("results.old.{}.jsonl", i);
  return name;
}

}  // namespace

Store::Store(const std::filesystem::path& folder, const Json& header, bool force) : path_(folder / results_name) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(fmt::format("[experiment] wanted a folder '{}' to write to: {}", folder.string(), error.message()));
  lock();
  const std::uintmax_t size = std::filesystem::file_size(path_, error);
  bool goes_on = !error && size > 0;
  if (goes_on) {
    results_ = read_results(path_, &length_);
    if (const std::string other = difference(results_.header, header); !other.empty()) {
      if (!force)
        fail(fmt::format("[experiment] '{}' holds results of {}; --force sets them aside, --out names another folder", path_.string(),
                         other));
      std::filesystem::rename(path_, set_aside_name(folder));
      goes_on = false;
    }
  }
  file_.number = open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (file_.number < 0) fail(fmt::format("[experiment] wanted to write '{}': {}", path_.string(), std::strerror(errno)));
  if (goes_on) return;
  results_ = {header, {}};
  length_ = 0;
  write_line(header);
}

Store::Descriptor::~Descriptor() {
  if (number >= 0) close(number);
}

void Store::lock() {
  const std::filesystem::path folder = path_.parent_path();
  lock_.number = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_.number < 0 || flock(lock_.number, LOCK_EX | LOCK_NB) == 0)
    return;  // where folders can't be locked, nothing is lost but this check
  if (errno == EWOULDBLOCK) fail(fmt::format("[experiment] another run is writing to '{}'; --out names another folder", folder.string()));
}

void Store::add(const Json& row) {
  write_line(row);
  results_.add(row);
}

void Store::write_line(const Json& line) {
  const std::string text = json_text(line, -1) + "\n";
  long written = 0;
  const auto size = static_cast<long>(text.size());
  while (written < size) {
    const long now = pwrite(file_.number, text.data() + written, static_cast<std::size_t>(size - written), length_ + written);
    if (now <= 0) break;
    written += now;
  }
  const bool whole = written == size && fsync(file_.number) == 0;
  const int error = errno;
  if (whole) length_ += size;
  if (ftruncate(file_.number, length_) != 0 || !whole)  // also what a killed process left behind the last whole line
    fail(fmt::format("[experiment] could not write to '{}': {}; what was measured before is kept", path_.string(), std::strerror(error)));
}

}  // namespace wengert::command::experiment
