// Rung 1 of chains of elementwise functions: element by element, link by link.
//   wengert bench op elementwise_chain --kernel naive
#pragma once

#include <span>

#include <wengert/backends/chain.hpp>

namespace wengert::naive {

void chain(const Chain& chain, std::span<const View> inputs, const View& out);

}  // namespace wengert::naive
