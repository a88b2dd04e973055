#include <wengert/models/files/gzip.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <utility>

#include <zlib.h>

namespace wengert {

struct GzipReader::State {
  State(const std::filesystem::path& path, std::string who) : file(path, std::move(who)) {
    refill();
    gzipped = stream.avail_in >= 2 && buffer[0] == std::byte{0x1f} && buffer[1] == std::byte{0x8b};
    constexpr int gzip_only = 16;
    if (gzipped && inflateInit2(&stream, MAX_WBITS + gzip_only) != Z_OK) throw std::bad_alloc();
  }
  ~State() {
    if (gzipped) inflateEnd(&stream);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void refill() {
    const std::size_t count = file.read(buffer);
    consumed += count;
    input_ended = count < buffer.size();
    stream.next_in = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_in = static_cast<uInt>(count);
  }

  std::size_t copy(std::span<std::byte> out) {
    const std::size_t count = std::min<std::size_t>(out.size(), stream.avail_in);
    if (count > 0) std::memcpy(out.data(), stream.next_in, count);
    stream.next_in += count;
    stream.avail_in -= static_cast<uInt>(count);
    return count;
  }

  std::size_t decode(std::span<std::byte> out) {
    constexpr std::size_t largest_step = std::size_t{1} << 30;  // zlib counts in 32 bits
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(std::min(out.size(), largest_step));
    const uInt asked = stream.avail_out;
    // A file may hold several members one after the other (RFC 1952).
    if (member_ended) inflateReset(&stream);
    const int result = inflate(&stream, Z_NO_FLUSH);
    member_ended = result == Z_STREAM_END;
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    if (result != Z_STREAM_END && result != Z_OK && result != Z_BUF_ERROR) {
      file.refuse("a gzip stream", "corrupt data before byte " + std::to_string(consumed - stream.avail_in) + " (" +
                                       (stream.msg != nullptr ? stream.msg : "no reason given") + ")");
    }
    const std::size_t count = asked - stream.avail_out;
    if (count == 0 && !member_ended && stream.avail_in == 0 && input_ended) {
      file.refuse("the end of the gzip stream", "a file cut off after " + std::to_string(consumed) + " bytes");
    }
    return count;
  }

  InputFile file;
  std::array<std::byte, 65536> buffer{};
  z_stream stream{};
  std::uint64_t consumed = 0;  // bytes taken from the file
  std::uint64_t produced = 0;  // bytes given to the caller
  bool gzipped = false;
  bool input_ended = false;
  bool member_ended = false;
};

GzipReader::GzipReader(const std::filesystem::path& path, std::string who) : state_(std::make_unique<State>(path, std::move(who))) {}
GzipReader::~GzipReader() = default;

const InputFile& GzipReader::file() const { return state_->file; }

std::size_t GzipReader::read(std::span<std::byte> out) {
  State& s = *state_;
  std::size_t done = 0;
  while (done < out.size()) {
    if (s.stream.avail_in == 0 && !s.input_ended) s.refill();
    if (s.stream.avail_in == 0 && s.input_ended && (!s.gzipped || s.member_ended)) break;
    done += s.gzipped ? s.decode(out.subspan(done)) : s.copy(out.subspan(done));
  }
  s.produced += done;
  return done;
}

std::vector<std::uint8_t> GzipReader::read_up_to(std::uint64_t most) {
  constexpr std::size_t first_step = std::size_t{1} << 20;
  std::vector<std::uint8_t> bytes;
  while (bytes.size() < most) {
    const std::size_t before = bytes.size();
    const std::uint64_t step = std::min<std::uint64_t>(most - before, std::max(before, first_step));
    bytes.resize(before + static_cast<std::size_t>(step));
    const std::size_t count = read(std::as_writable_bytes(std::span(bytes)).subspan(before));
    if (count < step) {
      bytes.resize(before + count);
      break;
    }
  }
  return bytes;
}

void GzipReader::expect_end() {
  const std::uint64_t before = state_->produced;
  std::byte next{};
  if (read(std::span(&next, 1)) != 0) {
    state_->file.refuse("the end of the data after " + std::to_string(before) + " bytes", "more bytes");
  }
}

std::vector<std::uint8_t> read_plain_or_gzip(const std::filesystem::path& path, const std::string& who, std::uint64_t most) {
  GzipReader reader(path, who);
  std::vector<std::uint8_t> bytes = reader.read_up_to(most);
  if (bytes.size() == most) reader.expect_end();
  return bytes;
}

}  // namespace wengert
