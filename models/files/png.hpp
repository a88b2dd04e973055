// PNG pictures as grey bytes, for prediction and for reports.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include <wengert/engine/types.hpp>

namespace wengert {

struct GreyImage {
  Index height = 0;
  Index width = 0;
  std::vector<std::uint8_t> pixels;  // (height,width) row-major; 0 is black, 255 white
};

inline constexpr Index png_most_pixels_a_side = 4096;

// Reads any PNG: grey, colour or palette, 1 to 16 bits, interlaced or not. Colour becomes grey by the weights of
// ITU-R BT.601; transparency is laid on the colour opposite to the ink's, white under dark and black under bright;
// stored gamma is not applied. Throws
// Error "[png 'path'] wanted ..., found ..." where the file is missing, no PNG, truncated, corrupt or larger than 4096 a side.
GreyImage read_png(const std::filesystem::path& path);

// 8-bit grey, whole or not at all (atomic_file.hpp).
void write_png(const std::filesystem::path& path, const GreyImage& image);

// Mean of the source area under every pixel of the result, fractions of pixels included. Throws Error for a side below 1.
GreyImage resize_area(const GreyImage& image, Index height, Index width);

}  // namespace wengert
