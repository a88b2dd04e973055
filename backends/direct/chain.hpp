// Direct rung of chains of elementwise functions: block by block, all links on one block while it is in the L1 cache, so that memory is
// read and written once for the whole chain.
//   wengert bench op elementwise_chain --kernel direct
#pragma once

#include <span>

#include <wengert/backends/chain.hpp>

namespace wengert::direct {

// Bytes that chain() needs beside its operands.
Index chain_workspace(const Chain& chain);

// Inputs with the result's shape lie in its layout, nchw or nhwc8, the others are plain. In nhwc8 with channels that fill no block,
// only a chain that keeps_zero() leaves the padding zero.
void chain(const Chain& chain, std::span<const View> inputs, const View& out, void* workspace);

// Whether padding lanes stay zero: those of inputs with the result's shape are zero, one value a channel repeats with zeros there, and one
// value in all may be anything.
bool keeps_zero(const Chain& chain);

}  // namespace wengert::direct
