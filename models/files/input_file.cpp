#include <wengert/models/files/input_file.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include <wengert/engine/error.hpp>

namespace wengert {
namespace {

// Closes the descriptor where the constructor throws and no destructor will run.
struct ClosingDescriptor {
  int value = -1;
  ~ClosingDescriptor() {
    if (value >= 0) ::close(value);
  }
};

}  // namespace

InputFile::InputFile(const std::filesystem::path& path, std::string who) : path_(path), who_(std::move(who)) {
  // Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
  ClosingDescriptor opened{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (opened.value < 0) refuse("a file that can be read", std::generic_category().message(errno));
  struct stat status {};
  if (::fstat(opened.value, &status) != 0) refuse("a file that can be read", std::generic_category().message(errno));
  if (!S_ISREG(status.st_mode)) refuse("a regular file", S_ISDIR(status.st_mode) ? "a folder" : "a device, pipe or socket");
  bytes_ = static_cast<std::uint64_t>(status.st_size);
  descriptor_ = std::exchange(opened.value, -1);
}

InputFile::~InputFile() { ::close(descriptor_); }

std::size_t InputFile::read(std::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t count = ::read(descriptor_, out.data() + done, out.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse("to read on", std::generic_category().message(errno));
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

void InputFile::refuse(const std::string& wanted, const std::string& found) const {
  fail("[" + who_ + " '" + path_.string() + "'] wanted " + wanted + ", found " + found);
}

std::string hexadecimal(std::span<const std::byte> bytes) {
  constexpr const char* digits = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    if (!text.empty()) text += ' ';
    text += digits[std::to_integer<unsigned>(byte) >> 4];
    text += digits[std::to_integer<unsigned>(byte) & 15U];
  }
  return text;
}

}  // namespace wengert
