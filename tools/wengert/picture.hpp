// A picture as the image that a network takes.
#pragma once

#include <wengert/models/files/png.hpp>

namespace wengert::command {

// Digits are bright on black: a picture that is bright at its border is dark on light, and is inverted; `invert` turns that choice round.
GreyImage bright_on_black(GreyImage image, bool invert);

// Framed as MNIST's digits are (models/mnist/README.md): what is drawn, cropped, is scaled to fit 20x20 of 28x28 with its aspect kept, and its
// centre of mass is put in the middle. Of other sizes the same part. Of a blank picture nothing but its size changes.
GreyImage framed_as_digit(const GreyImage& image, Index height, Index width);

// Whether nothing stands out.
bool is_blank(const GreyImage& image);

}  // namespace wengert::command
