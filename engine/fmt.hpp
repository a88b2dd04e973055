// fmt::print("{}\n", tensor), for programs that use the fmt library. Not part of what Wengert needs.
#pragma once

#include <fmt/ostream.h>

#include <wengert/engine/tensor.hpp>

template <>
struct fmt::formatter<wengert::Tensor> : fmt::ostream_formatter {};
