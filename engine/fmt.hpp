// fmt::print("{}\n", tensor). For programs that use the fmt library; include as <wengert/fmt.hpp>.
#pragma once

#include <fmt/ostream.h>

#include <wengert/engine/tensor.hpp>

template <>
struct fmt::formatter<wengert::Tensor> : fmt::ostream_formatter {};
