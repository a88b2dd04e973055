// What one core can do at most: the loops behind `wengert bench peak`, to set kernels' speeds beside.
#pragma once

#include <wengert/engine/types.hpp>

namespace wengert::direct {

// Multiply-adds in independent chains that never leave the registers, on target(); returns how many floating-point operations were done.
double run_multiply_adds(Index rounds);

// Copies count floats, vector by vector on target(); the runs must not overlap. Moves 8 bytes a float: 4 read, 4 written.
void run_copy(Index count, const float* from, float* to);

}  // namespace wengert::direct
