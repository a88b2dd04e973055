// The start of a training, written down so that another program can make the same steps: tools/bench/peers/common.py.
#pragma once

#include <filesystem>

#include <wengert/models/dataset.hpp>
#include <wengert/models/script.hpp>

namespace wengert::command {

// Writes, of the training of a script that was just read, to a folder that is new, empty or of an earlier start:
//   initial.safetensors    the parameters before the first step
//   order.i32              positions of training images, little-endian: in the order of their use, epoch behind epoch
//   settings.json          batch, epochs, examples (images an epoch), rates (one a step), beta1, beta2, epsilon, steps (to stop after, or null)
// Throws Error for another optimiser than Adam, for weight decay and for rate groups.
void export_start(const Script& script, const Dataset& set, const std::filesystem::path& folder);

}  // namespace wengert::command
