// Pictures as `wengert predict` prepares them: bright on black, framed as MNIST frames its digits.
#include <doctest/doctest.h>

#include "../tools/wengert/picture.hpp"

using namespace wengert;
using namespace wengert::command;

namespace {

// A bar on paper, rows [top, bottom) and columns [left, right).
GreyImage bar(Index size, Index top, Index bottom, Index left, Index right, std::uint8_t ink, std::uint8_t paper) {
  GreyImage image{size, size, {}};
  for (Index y = 0; y < size; ++y) {
    for (Index x = 0; x < size; ++x) image.pixels.push_back(y >= top && y < bottom && x >= left && x < right ? ink : paper);
  }
  return image;
}

}  // namespace

TEST_CASE("a digit anywhere in a picture of any size becomes the same image, 20 pixels high, its mass in the middle") {
  const GreyImage expected = bar(28, 4, 24, 13, 16, 255, 0);
  CHECK(framed_as_digit(bar(56, 8, 48, 26, 32, 255, 0), 28, 28).pixels == expected.pixels);
  CHECK(framed_as_digit(bar(300, 10, 110, 5, 20, 255, 0), 28, 28).pixels == expected.pixels);
  CHECK(framed_as_digit(bar(200, 150, 190, 100, 106, 255, 0), 28, 28).pixels == expected.pixels);
  CHECK(framed_as_digit(bar(20, 0, 20, 17, 20, 255, 40), 28, 28).pixels == expected.pixels);  // faint paper is cropped too
}

TEST_CASE("dark on light is inverted, and a blank picture is told") {
  const GreyImage dark = bar(10, 2, 8, 4, 6, 0, 255), bright = bar(10, 2, 8, 4, 6, 255, 0);
  CHECK(bright_on_black(dark, false).pixels == bright.pixels);
  CHECK(bright_on_black(bright, false).pixels == bright.pixels);
  CHECK(bright_on_black(dark, true).pixels == dark.pixels);
  CHECK_FALSE(is_blank(dark));
  const GreyImage blank = bar(40, 0, 0, 0, 0, 0, 200);
  CHECK(is_blank(blank));
  CHECK(framed_as_digit(blank, 28, 28).pixels == std::vector<std::uint8_t>(28 * 28, 200));
}
