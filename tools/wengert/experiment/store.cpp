#include "store.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>

#include "render.hpp"

namespace wengert::command::experiment {

namespace {

constexpr const char* format_key = "wengert_experiment";
constexpr const char* must_agree[] = {format_key, "version", "processor", "target", "cores", "quick"};

// The whole lines of a file, and their bytes; nothing where there is no file.
struct Lines {
  std::vector<Json> lines = {};
  long bytes = 0;
};
std::optional<Lines> read_lines(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::stringstream text;
  text << file.rdbuf();
  Lines found;
  const std::string all = text.str();
  for (std::size_t end = 0; (end = all.find('\n', static_cast<std::size_t>(found.bytes))) != std::string::npos;) {
    const auto first = static_cast<std::size_t>(found.bytes);
    Json line =
        Json::parse(all.begin() + static_cast<std::ptrdiff_t>(first), all.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    if (!line.is_object()) break;
    found.lines.push_back(std::move(line));
    found.bytes = static_cast<long>(end) + 1;
  }
  return found;
}

// In what a header differs from the one wanted, or empty.
std::string difference(const Json& found, const Json& wanted) {
  for (const char* key : must_agree) {
    const Json theirs = found.contains(key) ? found.at(key) : Json(), ours = wanted.at(key);
    if (theirs != ours) return fmt::format("{} {}, this is {}", key, theirs.dump(), ours.dump());
  }
  return {};
}

}  // namespace

Store::Store(const std::filesystem::path& folder, const Json& header, bool force) : path_(folder / results_name) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(fmt::format("[experiment] wanted a folder '{}' to write to: {}", folder.string(), error.message()));
  std::optional<Lines> found = read_lines(path_);
  if (found && !(found->lines.empty() && found->bytes == 0 && std::filesystem::file_size(path_) == 0)) {
    const bool ours = !found->lines.empty() && found->lines[0].contains(format_key);
    if (!ours) fail(fmt::format("[experiment] wanted '{}' to hold results of experiments, found something else", path_.string()));
    const std::string other = difference(found->lines[0], header);
    if (!other.empty() && !force)
      fail(
          fmt::format("[experiment] '{}' holds results of {}; --force sets them aside, --out names another folder", path_.string(), other));
    if (!other.empty()) {
      std::filesystem::rename(path_, folder / "results.old.jsonl");
      found.reset();
    }
  } else {
    found.reset();
  }
  descriptor_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail(fmt::format("[experiment] wanted to write '{}': {}", path_.string(), std::strerror(errno)));
  if (found) {
    length_ = found->bytes;
    results_.header = found->lines[0];
    results_.rows.assign(found->lines.begin() + 1, found->lines.end());
  } else {
    results_.header = header;
    write_line(header);
  }
}

Store::~Store() {
  if (descriptor_ >= 0) close(descriptor_);
}

bool Store::has(const std::string& key) const {
  for (const Json& row : results_.rows) {
    if (row.at("key") == key) return true;
  }
  return false;
}

void Store::add(const Json& row) {
  write_line(row);
  results_.rows.push_back(row);
}

void Store::write_line(const Json& line) {
  const std::string text = line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  long written = 0;
  const auto size = static_cast<long>(text.size());
  while (written < size) {
    const long now = pwrite(descriptor_, text.data() + written, static_cast<std::size_t>(size - written), length_ + written);
    if (now <= 0) break;
    written += now;
  }
  const bool whole = written == size && fsync(descriptor_) == 0;
  const int error = errno;
  if (whole) length_ += size;
  if (ftruncate(descriptor_, length_) != 0 || !whole)  // also what a killed process left behind the last whole line
    fail(fmt::format("[experiment] could not write to '{}': {}; what was measured before is kept", path_.string(), std::strerror(error)));
}

}  // namespace wengert::command::experiment
