#include "picture.hpp"

#include <algorithm>
#include <cmath>

namespace wengert::command {

namespace {

std::uint8_t at(const GreyImage& image, Index y, Index x) { return image.pixels[static_cast<std::size_t>(y * image.width + x)]; }

bool bright_border(const GreyImage& image) {
  double sum = 0;
  Index count = 0;
  for (Index y = 0; y < image.height; ++y) {
    for (Index x = 0; x < image.width; ++x) {
      if (y != 0 && x != 0 && y != image.height - 1 && x != image.width - 1) continue;
      sum += at(image, y, x);
      ++count;
    }
  }
  constexpr double middle = 127.5;
  return sum > middle * static_cast<double>(count);
}

// The smallest part that holds all pixels of more than a quarter of the brightest.
GreyImage cropped(const GreyImage& image) {
  const int faint = *std::max_element(image.pixels.begin(), image.pixels.end()) / 4;
  Index top = image.height, bottom = 0, left = image.width, right = 0;
  for (Index y = 0; y < image.height; ++y) {
    for (Index x = 0; x < image.width; ++x) {
      if (at(image, y, x) <= faint) continue;
      top = std::min(top, y), bottom = std::max(bottom, y + 1);
      left = std::min(left, x), right = std::max(right, x + 1);
    }
  }
  GreyImage part{bottom - top, right - left, {}};
  for (Index y = top; y < bottom; ++y) {
    for (Index x = left; x < right; ++x) part.pixels.push_back(at(image, y, x));
  }
  return part;
}

// Where a part of this length begins so that its centre of mass, `centre` from its beginning, is in the middle of `whole`.
Index begin_of(double centre, Index length, Index whole) {
  return std::clamp<Index>(std::lround(static_cast<double>(whole) / 2 - centre), 0, whole - length);
}

}  // namespace

GreyImage bright_on_black(GreyImage image, bool invert) {
  if (invert == bright_border(image)) return image;
  for (std::uint8_t& pixel : image.pixels) pixel = static_cast<std::uint8_t>(255 - pixel);
  return image;
}

bool is_blank(const GreyImage& image) {
  constexpr int noise = 8;
  const auto [least, most] = std::minmax_element(image.pixels.begin(), image.pixels.end());
  return *most - *least < noise;
}

GreyImage framed_as_digit(const GreyImage& image, Index height, Index width) {
  if (is_blank(image)) return resize_area(image, height, width);
  const GreyImage part = cropped(image);
  const auto box = static_cast<double>(std::min(height, width)) * 20 / 28;
  const double scale = box / static_cast<double>(std::max(part.height, part.width));
  const auto side = [scale](Index length) { return std::max<Index>(1, std::lround(static_cast<double>(length) * scale)); };
  const GreyImage digit = resize_area(part, side(part.height), side(part.width));
  double mass = 0, from_top = 0, from_left = 0;
  for (Index y = 0; y < digit.height; ++y) {
    for (Index x = 0; x < digit.width; ++x) {
      constexpr double half = 0.5;  // of a pixel
      const double weight = at(digit, y, x);
      mass += weight;
      from_top += weight * (static_cast<double>(y) + half);
      from_left += weight * (static_cast<double>(x) + half);
    }
  }
  const Index top = begin_of(from_top / mass, digit.height, height), left = begin_of(from_left / mass, digit.width, width);
  GreyImage result{height, width, std::vector<std::uint8_t>(static_cast<std::size_t>(height * width), 0)};
  for (Index y = 0; y < digit.height; ++y) {
    for (Index x = 0; x < digit.width; ++x) result.pixels[static_cast<std::size_t>((top + y) * width + left + x)] = at(digit, y, x);
  }
  return result;
}

}  // namespace wengert::command
