// PNG pictures of every kind, whole and damaged, and their resizing.
#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <png.h>

#include <wengert/engine/error.hpp>
#include <wengert/models/files/png.hpp>

#include "scratch_folder.hpp"

using namespace wengert;
using namespace wengert::test;

namespace {

struct Picture {
  std::uint32_t width = 1;
  std::uint32_t height = 1;
  int depth = 8;
  int colour = PNG_COLOR_TYPE_GRAY;
  bool interlaced = false;
};

// Encodes rows as they are; pixels that span bytes are the caller's business. The palette is black, white, red.
std::string encoded(const Picture& picture, std::vector<std::vector<png_byte>> rows, bool clear_first_colour = false) {
  std::string bytes;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &bytes,
      [](png_structp p, png_bytep data, png_size_t size) {
        static_cast<std::string*>(png_get_io_ptr(p))->append(reinterpret_cast<const char*>(data), size);
      },
      [](png_structp) {});
  png_set_IHDR(png, info, picture.width, picture.height, picture.depth, picture.colour,
               picture.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  const std::array<png_color, 3> palette = {png_color{0, 0, 0}, png_color{255, 255, 255}, png_color{255, 0, 0}};
  if (picture.colour == PNG_COLOR_TYPE_PALETTE) png_set_PLTE(png, info, palette.data(), 3);
  const png_byte clear = 0;
  png_color_16 clear_grey{};
  if (clear_first_colour) {
    png_set_tRNS(png, info, &clear, 1, picture.colour == PNG_COLOR_TYPE_PALETTE ? nullptr : &clear_grey);
  }
  std::vector<png_bytep> pointers;
  for (auto& row : rows) pointers.push_back(row.data());
  png_set_rows(png, info, pointers.data());
  png_write_png(png, info, PNG_TRANSFORM_IDENTITY, nullptr);
  png_destroy_write_struct(&png, &info);
  return bytes;
}

std::vector<std::uint8_t> pixels_of(const ScratchFolder& folder, const std::string& bytes) {
  spill(folder / "picture.png", bytes);
  return read_png(folder / "picture.png").pixels;
}

std::string png_message(const ScratchFolder& folder, const std::string& bytes) {
  spill(folder / "picture.png", bytes);
  return message_of<Error>([&] { read_png(folder / "picture.png"); });
}

GreyImage pattern(Index height, Index width) {
  GreyImage image{height, width, {}};
  for (Index i = 0; i < height * width; ++i) image.pixels.push_back(static_cast<std::uint8_t>((i * 73 + 5) & 255));
  return image;
}

using Bytes = std::vector<std::uint8_t>;

}  // namespace

TEST_CASE("png: written and read back") {
  ScratchFolder folder;
  for (const auto& [height, width] : {std::pair<Index, Index>{1, 1}, {28, 28}, {3, 17}, {300, 200}}) {
    const GreyImage image = pattern(height, width);
    write_png(folder / "picture.png", image);
    const GreyImage back = read_png(folder / "picture.png");
    CHECK(back.height == height);
    CHECK(back.width == width);
    CHECK(back.pixels == image.pixels);
  }
  CHECK(folder.files() == 1);
  CHECK_THROWS_AS(write_png(folder / "bad.png", GreyImage{2, 2, {1, 2, 3}}), Error);
  CHECK_THROWS_AS(write_png(folder / "bad.png", GreyImage{0, 0, {}}), Error);
  CHECK_THROWS_AS(write_png(folder / "absent" / "bad.png", pattern(2, 2)), Error);
  CHECK(folder.files() == 1);
}

TEST_CASE("png: every colour type and depth becomes 8-bit grey") {
  ScratchFolder folder;
  // 1 and 2 bits: four pixels a byte and less.
  CHECK(pixels_of(folder, encoded({4, 1, 1}, {{0b01010000}})) == Bytes{0, 255, 0, 255});
  CHECK(pixels_of(folder, encoded({4, 1, 2}, {{0b00011011}})) == Bytes{0, 85, 170, 255});
  CHECK(pixels_of(folder, encoded({2, 1, 4}, {{0x0f}})) == Bytes{0, 255});
  CHECK(pixels_of(folder, encoded({3, 1, 8}, {{0, 100, 255}})) == Bytes{0, 100, 255});
  CHECK(pixels_of(folder, encoded({3, 1, 16}, {{0, 0, 0x64, 0x64, 255, 255}})) == Bytes{0, 100, 255});
  // 0.299 * 255 = 76.2, 0.587 * 255 = 149.7, 0.114 * 255 = 29.1
  CHECK(pixels_of(folder, encoded({3, 1, 8, PNG_COLOR_TYPE_RGB}, {{255, 0, 0, 0, 255, 0, 0, 0, 255}})) == Bytes{76, 150, 29});
  CHECK(pixels_of(folder, encoded({3, 1, 2, PNG_COLOR_TYPE_PALETTE}, {{0b00011000}})) == Bytes{0, 255, 76});
  // White ink lies on black, where half transparent is half grey: 255 * 128 / 255 = 128. Black ink lies on white.
  CHECK(pixels_of(folder, encoded({4, 1, 8, PNG_COLOR_TYPE_GRAY_ALPHA}, {{255, 255, 255, 128, 255, 0, 0, 0}})) == Bytes{255, 128, 0, 0});
  CHECK(pixels_of(folder, encoded({4, 1, 8, PNG_COLOR_TYPE_GRAY_ALPHA}, {{0, 255, 0, 128, 255, 0, 0, 0}})) == Bytes{0, 127, 255, 255});
  CHECK(pixels_of(folder, encoded({4, 1, 8, PNG_COLOR_TYPE_RGB_ALPHA}, {{255, 255, 255, 255, 255, 0, 0, 128, 0, 0, 0, 0, 0, 0, 0, 0}})) ==
        Bytes{255, 38, 0, 0});
  // What is mostly opaque has its paper in it: transparent corners are like it.
  CHECK(pixels_of(folder, encoded({4, 1, 8, PNG_COLOR_TYPE_GRAY_ALPHA}, {{250, 255, 0, 255, 250, 255, 0, 0}})) == Bytes{250, 0, 250, 255});
  CHECK(pixels_of(folder, encoded({2, 1, 16, PNG_COLOR_TYPE_RGB_ALPHA},
                                  {{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0}})) == Bytes{255, 0});
  CHECK(pixels_of(folder, encoded({2, 1, 8, PNG_COLOR_TYPE_PALETTE}, {{1, 0}}, true)) == Bytes{255, 0});
  CHECK(pixels_of(folder, encoded({2, 1, 8, PNG_COLOR_TYPE_GRAY}, {{0, 9}}, true)) == Bytes{255, 9});  // grey 0 is transparent there
  std::vector<std::vector<png_byte>> rows;
  Bytes expected;
  for (unsigned y = 0; y < 9; ++y) {
    rows.emplace_back();
    for (unsigned x = 0; x < 11; ++x) {
      rows.back().push_back(static_cast<png_byte>(y * 20 + x));
      expected.push_back(static_cast<std::uint8_t>(y * 20 + x));
    }
  }
  CHECK(pixels_of(folder, encoded({11, 9, 8, PNG_COLOR_TYPE_GRAY, true}, rows)) == expected);
}

TEST_CASE("png: what is no picture, or too big a one, is refused") {
  ScratchFolder folder;
  const std::string prefix = "[png '" + (folder / "picture.png").string() + "'] wanted ";
  CHECK(png_message(folder, "") == prefix + "a PNG file (first bytes 89 50 4e 47 0d 0a 1a 0a), found an empty file");
  CHECK(png_message(folder, "\xff\xd8\xff\xe0 JFIF") ==
        prefix + "a PNG file (first bytes 89 50 4e 47 0d 0a 1a 0a), found ff d8 ff e0 20 4a 46 49");
  CHECK(contains(message_of<Error>([&] { read_png(folder / "absent.png"); }), "No such file or directory"));
  CHECK(contains(message_of<Error>([&] { read_png(folder.path()); }), "found a folder"));

  // A header of any size, with the checksum right, over one pixel's data.
  const auto forged = [](std::uint32_t width, std::uint32_t height) {
    const std::string honest = encoded({1, 1}, {{7}});
    const std::string huge = encoded({width, 1}, {std::vector<png_byte>(width)});
    std::string header = huge.substr(0, 33);
    if (height != 1) {
      for (unsigned i = 0; i < 4; ++i) header[20 + i] = static_cast<char>((height >> (24 - 8 * i)) & 255U);
      unsigned long crc = 0xffffffffUL;
      for (std::size_t i = 12; i < 29; ++i) {
        crc ^= static_cast<unsigned char>(header[i]);
        for (int bit = 0; bit < 8; ++bit) crc = (crc & 1U) != 0 ? (crc >> 1) ^ 0xedb88320UL : crc >> 1;
      }
      crc ^= 0xffffffffUL;
      for (unsigned i = 0; i < 4; ++i) header[29 + i] = static_cast<char>((crc >> (24 - 8 * i)) & 255U);
    }
    return header + honest.substr(33);
  };
  CHECK(png_message(folder, forged(5000, 1)) == prefix + "a picture of at most 4096x4096 pixels, found 5000x1");
  CHECK(png_message(folder, forged(1, 0x7fffffff)) == prefix + "a picture of at most 4096x4096 pixels, found 1x2147483647");
  CHECK(contains(png_message(folder, forged(4096, 4096)), "data for 4096x4096 pixels, found a file of only"));
  CHECK(contains(png_message(folder, forged(100, 100)), "a whole PNG picture, found a fault: "));
}

TEST_CASE("png: a file cut anywhere is an error, any flipped bit is an error or a picture") {
  ScratchFolder folder;
  std::vector<std::vector<png_byte>> rows(9, std::vector<png_byte>(44));
  for (unsigned i = 0; i < 9 * 44; ++i) rows[i / 44][i % 44] = static_cast<png_byte>(i * 31);
  const std::vector<std::string> pictures = {
      encoded({11, 9, 8, PNG_COLOR_TYPE_RGB_ALPHA, true}, rows), encoded({11, 9, 8, PNG_COLOR_TYPE_RGB_ALPHA}, rows),
      encoded({5, 1, 16, PNG_COLOR_TYPE_RGB, true}, rows), encoded({6, 9, 2, PNG_COLOR_TYPE_PALETTE}, rows, true)};
  for (const std::string& whole : pictures) {
    for (std::size_t length = 0; length < whole.size(); ++length) {
      CAPTURE(length);
      CHECK(contains(png_message(folder, whole.substr(0, length)), "] wanted "));
    }
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
      std::string damaged = whole;
      damaged[bit / 8] = static_cast<char>(static_cast<unsigned char>(damaged[bit / 8]) ^ (1U << (bit % 8)));
      const std::string message = png_message(folder, damaged);  // another exception would fail the test
      CAPTURE(bit);
      CHECK((message == "no error" || contains(message, "] wanted ")));
    }
  }
}

TEST_CASE("png: area resizing, by hand") {
  const GreyImage image{2,
                        4,
                        {0, 100, 200, 40,  //
                         20, 80, 100, 60}};
  CHECK(resize_area(image, 1, 2).pixels == Bytes{50, 100});
  CHECK(resize_area(image, 2, 4).pixels == image.pixels);
  CHECK(resize_area(image, 1, 1).pixels == Bytes{75});
  // Three of four columns: (0 + 100/3) * 3/4 = 25, (100 * 2/3 + 200 * 2/3) * 3/4 = 150, (200/3 + 40) * 3/4 = 80.
  CHECK(resize_area(GreyImage{1, 4, {0, 100, 200, 40}}, 1, 3).pixels == Bytes{25, 150, 80});
  CHECK(resize_area(GreyImage{1, 2, {10, 30}}, 2, 4).pixels == Bytes{10, 10, 30, 30, 10, 10, 30, 30});
  CHECK(resize_area(GreyImage{1, 2, {0, 90}}, 1, 3).pixels == Bytes{0, 45, 90});
  const GreyImage white{50, 31, Bytes(50 * 31, 255)};
  CHECK(resize_area(white, 28, 28).pixels == Bytes(28 * 28, 255));
  CHECK_THROWS_AS(resize_area(image, 0, 3), Error);
  CHECK_THROWS_AS(resize_area(image, 3, -1), Error);
  CHECK_THROWS_AS(resize_area(GreyImage{}, 3, 3), Error);
}
