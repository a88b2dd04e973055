// The kernels as plain functions over pointers and sizes, one table a side. Each launches on the queue and returns; memory is the queue's device's.
#pragma once

#include <wengert/backends/cuda/conv.hpp>
#include <wengert/backends/cuda/matmul.hpp>
#include <wengert/backends/cuda/queue.hpp>

namespace wengert::cuda {

// One struct of function pointers a file of kernels/, declared in a header of the same name beside this one:
//   conv.hpp        ConvFunctions
//   elementwise.hpp ElementwiseFunctions
//   ...
struct Functions {
  ConvFunctions conv;
  MatmulFunctions matmul;
};

const Functions& emulated_functions();  // emulator/functions.cpp, in tests only

}  // namespace wengert::cuda
