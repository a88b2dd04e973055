// Target: the vector instruction set that the direct kernels use, chosen at run time among those compiled in.
#pragma once

#include <string>
#include <vector>

namespace wengert::direct {

// Names of the compiled targets that this machine runs, best first: "AVX-512", "AVX2", "SSE4" or "NEON".
const std::vector<std::string>& targets();
// The one that kernels made from now on use; at first the best.
const std::string& target();
// Throws Error with the nearest name where this machine has no such target. For tests and measurements; not while kernels are being made.
void set_target(const std::string& name);

// Where target() stands among all targets compiled in, best first, whether or not this machine has them: the index into tables of
// functions compiled once a target (WENGERT_EACH_TARGET of highway-inl.hpp).
int target_index();

}  // namespace wengert::direct
