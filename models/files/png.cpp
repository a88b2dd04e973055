#include <wengert/models/files/png.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <string>

#include <png.h>

#include <wengert/engine/error.hpp>
#include <wengert/models/files/atomic_file.hpp>
#include <wengert/models/files/input_file.hpp>

namespace wengert {
namespace {

constexpr std::uint64_t most_file_bytes = std::uint64_t{256} << 20;
constexpr std::size_t signature_bytes = 8;

// libpng reports an error by longjmp, which skips destructors. So all that has one lives in the callers; the functions that call
// setjmp hold plain values only and return false after an error, whose text is in `message`.
struct Decoder {
  png_structp png = nullptr;
  png_infop info = nullptr;
  const std::byte* bytes = nullptr;
  std::size_t left = 0;
  png_uint_32 width = 0;
  png_uint_32 height = 0;
  int bits_a_pixel = 0;  // in the file
  int channels = 0;      // decoded: 2 (grey, alpha) or 4 (red, green, blue, alpha)
  std::array<char, 120> message{};

  Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  ~Decoder() { png_destroy_read_struct(&png, &info, nullptr); }
};

extern "C" {

static void keep_message_and_jump(png_structp png, png_const_charp text) {
  auto* decoder = static_cast<Decoder*>(png_get_error_ptr(png));
  std::snprintf(decoder->message.data(), decoder->message.size(), "%s", text);
  png_longjmp(png, 1);
}

static void ignore_warning(png_structp, png_const_charp) {}

static void give_bytes(png_structp png, png_bytep out, png_size_t count) {
  auto* decoder = static_cast<Decoder*>(png_get_io_ptr(png));
  if (count > decoder->left) png_error(png, "the file is cut off");
  std::memcpy(out, decoder->bytes, count);
  decoder->bytes += count;
  decoder->left -= count;
}

}  // extern "C"

// Reads up to the image data and asks for 8-bit pixels with alpha.
bool read_header(Decoder* d) {
  if (setjmp(png_jmpbuf(d->png)) != 0) return false;
  png_set_user_limits(d->png, png_most_pixels_a_side, png_most_pixels_a_side);
  png_set_read_fn(d->png, d, give_bytes);
  png_read_info(d->png, d->info);
  d->width = png_get_image_width(d->png, d->info);
  d->height = png_get_image_height(d->png, d->info);
  d->bits_a_pixel = png_get_bit_depth(d->png, d->info) * png_get_channels(d->png, d->info);
  png_set_scale_16(d->png);
  png_set_expand(d->png);  // palettes to colours, 1, 2 and 4 bits to 8, transparent colours to alpha
  constexpr png_uint_32 opaque = 255;
  png_set_add_alpha(d->png, opaque, PNG_FILLER_AFTER);
  png_set_interlace_handling(d->png);
  png_read_update_info(d->png, d->info);
  d->channels = png_get_channels(d->png, d->info);
  return true;
}

bool read_rows(Decoder* d, png_bytepp rows) {
  if (setjmp(png_jmpbuf(d->png)) != 0) return false;
  png_read_image(d->png, rows);
  png_read_end(d->png, nullptr);
  return true;
}

// ITU-R BT.601, in thousandths.
std::uint32_t luma(const std::uint8_t* pixel, int channels) {
  return channels == 2 ? 1000U * pixel[0] : 299U * pixel[0] + 587U * pixel[1] + 114U * pixel[2];
}

// Dark ink on nothing is laid on white and bright ink on black; of a picture that is mostly opaque, what is opaque is paper too.
std::uint32_t paper_under(const std::vector<std::uint8_t>& pixels, int channels) {
  std::uint64_t light = 0, opaque = 0, whole = 0;
  for (std::size_t at = 0; at < pixels.size(); at += static_cast<std::size_t>(channels)) {
    const std::uint32_t alpha = pixels[at + static_cast<std::size_t>(channels) - 1];
    light += std::uint64_t{luma(&pixels[at], channels)} * alpha;
    opaque += alpha;
    whole += 255;
  }
  const bool bright = 2 * light > 255000 * opaque, mostly_opaque = 4 * opaque >= 3 * whole;
  return bright == mostly_opaque ? 255 : 0;
}

std::uint8_t grey_on(std::uint32_t paper, const std::uint8_t* pixel, int channels) {
  const std::uint32_t alpha = pixel[channels - 1];
  return static_cast<std::uint8_t>((luma(pixel, channels) * alpha + 1000U * paper * (255U - alpha) + 127500U) / 255000U);  // rounded once
}

std::vector<std::byte> read_whole(InputFile& file) {
  std::array<std::byte, signature_bytes> signature{};
  const std::size_t count = file.read(signature);
  if (count < signature_bytes || png_sig_cmp(reinterpret_cast<png_const_bytep>(signature.data()), 0, signature_bytes) != 0) {
    const std::string found = hexadecimal(std::span(signature).first(count));
    file.refuse("a PNG file (first bytes 89 50 4e 47 0d 0a 1a 0a)", count == 0 ? "an empty file" : found);
  }
  if (file.bytes() > most_file_bytes || file.bytes() < count) {
    file.refuse("a picture of at most " + std::to_string(most_file_bytes) + " bytes", std::to_string(file.bytes()));
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(file.bytes()));
  std::copy(signature.begin(), signature.end(), bytes.begin());
  if (file.read(std::span(bytes).subspan(count)) + count < bytes.size()) {
    file.refuse(std::to_string(bytes.size()) + " bytes", "a file that became shorter while it was read");
  }
  return bytes;
}

// What stands in the first chunk, which libpng would refuse without telling the sizes.
void check_sides(const InputFile& file, std::span<const std::byte> bytes) {
  constexpr std::size_t sides_at = 16;
  if (bytes.size() < sides_at + 8) return;  // the decoder finds it cut off
  const auto* sides = reinterpret_cast<png_const_bytep>(bytes.data()) + sides_at;
  const png_uint_32 width = png_get_uint_32(sides);
  const png_uint_32 height = png_get_uint_32(sides + 4);
  if (width > png_most_pixels_a_side || height > png_most_pixels_a_side) {
    const std::string most = std::to_string(png_most_pixels_a_side);
    file.refuse("a picture of at most " + most + "x" + most + " pixels", std::to_string(width) + "x" + std::to_string(height));
  }
}

// Overlap of output pixels with source pixels along one side: out[o] = sum of weight * in[first + k].
struct Overlap {
  std::size_t first = 0;
  std::vector<double> weights;
};

std::vector<Overlap> overlaps(Index from, Index to) {
  std::vector<Overlap> all;
  for (Index o = 0; o < to; ++o) {
    // In units of 1/to source pixels every border is whole: the result pixel covers [o * from, (o + 1) * from).
    const Index begin = o * from;
    const Index end = begin + from;
    Overlap overlap;
    overlap.first = static_cast<std::size_t>(begin / to);
    for (Index i = begin / to; i * to < end; ++i) {
      const Index covered = std::min(end, (i + 1) * to) - std::max(begin, i * to);
      overlap.weights.push_back(static_cast<double>(covered) / static_cast<double>(from));
    }
    all.push_back(std::move(overlap));
  }
  return all;
}

void check_image(const std::string& who, const GreyImage& image) {
  const bool sides_fit =
      image.height >= 1 && image.height <= png_most_pixels_a_side && image.width >= 1 && image.width <= png_most_pixels_a_side;
  if (!sides_fit || image.pixels.size() != static_cast<std::size_t>(image.height * image.width)) {
    fail(who + " wanted sides of 1 to " + std::to_string(png_most_pixels_a_side) + " and a byte a pixel, got " +
         std::to_string(image.height) + "x" + std::to_string(image.width) + " with " + std::to_string(image.pixels.size()));
  }
}

}  // namespace

GreyImage read_png(const std::filesystem::path& path) {
  InputFile file(path, "png");
  const std::vector<std::byte> bytes = read_whole(file);
  check_sides(file, bytes);

  Decoder decoder;
  decoder.bytes = bytes.data();
  decoder.left = bytes.size();
  decoder.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoder, keep_message_and_jump, ignore_warning);
  if (decoder.png != nullptr) decoder.info = png_create_info_struct(decoder.png);
  if (decoder.info == nullptr) throw std::bad_alloc();
  const auto refuse = [&]() { file.refuse("a whole PNG picture", std::string("a fault: ") + decoder.message.data()); };
  if (!read_header(&decoder)) refuse();

  // Deflate shrinks to a 1032nd at best: a few bytes cannot hold a big picture, so none is made room for.
  constexpr std::uint64_t best_ratio = 1032;
  const std::uint64_t stored = std::uint64_t{decoder.width} * decoder.height * static_cast<unsigned>(decoder.bits_a_pixel) / 8;
  if (stored > best_ratio * bytes.size()) {
    file.refuse("data for " + std::to_string(decoder.width) + "x" + std::to_string(decoder.height) + " pixels",
                "a file of only " + std::to_string(bytes.size()) + " bytes");
  }
  const std::size_t row_bytes = std::size_t{decoder.width} * static_cast<std::size_t>(decoder.channels);
  std::vector<std::uint8_t> decoded(row_bytes * decoder.height);
  std::vector<png_bytep> rows;
  for (std::size_t y = 0; y < decoder.height; ++y) rows.push_back(decoded.data() + y * row_bytes);
  if (!read_rows(&decoder, rows.data())) refuse();

  GreyImage image{decoder.height, decoder.width, {}};
  image.pixels.resize(std::size_t{decoder.width} * decoder.height);
  const std::uint32_t paper = paper_under(decoded, decoder.channels);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    image.pixels[i] = grey_on(paper, &decoded[i * static_cast<std::size_t>(decoder.channels)], decoder.channels);
  }
  return image;
}

void write_png(const std::filesystem::path& path, const GreyImage& image) {
  const std::string who = "[save '" + path.string() + "']";
  check_image(who, image);
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(image.width);
  header.height = static_cast<png_uint_32>(image.height);
  header.format = PNG_FORMAT_GRAY;
  std::vector<std::byte> bytes(PNG_IMAGE_PNG_SIZE_MAX(header));
  png_alloc_size_t size = bytes.size();
  if (png_image_write_to_memory(&header, bytes.data(), &size, 0, image.pixels.data(), 0, nullptr) == 0) {
    fail(who + " wanted to encode the picture, got: " + std::string(header.message));
  }
  write_file_atomically(path, std::span<const std::byte>(bytes).first(size));
}

GreyImage resize_area(const GreyImage& image, Index height, Index width) {
  check_image("[resize_area]", image);
  if (height < 1 || width < 1 || height > png_most_pixels_a_side || width > png_most_pixels_a_side) {
    fail("[resize_area] wanted sides of 1 to " + std::to_string(png_most_pixels_a_side) + ", got " + std::to_string(height) + "x" +
         std::to_string(width));
  }
  const std::vector<Overlap> rows = overlaps(image.height, height);
  const std::vector<Overlap> columns = overlaps(image.width, width);
  GreyImage result{height, width, {}};
  result.pixels.reserve(static_cast<std::size_t>(height * width));
  for (const Overlap& row : rows) {
    for (const Overlap& column : columns) {
      double sum = 0;
      for (std::size_t y = 0; y < row.weights.size(); ++y) {
        const std::size_t line = (row.first + y) * static_cast<std::size_t>(image.width) + column.first;
        for (std::size_t x = 0; x < column.weights.size(); ++x) {
          sum += row.weights[y] * column.weights[x] * image.pixels[line + x];
        }
      }
      result.pixels.push_back(static_cast<std::uint8_t>(std::lround(sum)));
    }
  }
  return result;
}

}  // namespace wengert
