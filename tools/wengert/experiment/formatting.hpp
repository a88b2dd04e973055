// Numbers as a reader wants them; NaN is an empty text.
#pragma once

#include <string>

namespace wengert::command::experiment {

std::string significant(double value);  // three digits: 187, 17.6, 2.55, 0.0125
std::string percent(double fraction);   // 99.12
std::string plain(double value);        // 64, 0.001, 1e-5

}  // namespace wengert::command::experiment
