// The kernels as plain functions over pointers and sizes, one table a side. Each launches on the queue and returns; memory is the queue's device's.
#pragma once

#include <wengert/backends/cuda/batch_norm.hpp>
#include <wengert/backends/cuda/conv.hpp>
#include <wengert/backends/cuda/copy.hpp>
#include <wengert/backends/cuda/data.hpp>
#include <wengert/backends/cuda/dropout.hpp>
#include <wengert/backends/cuda/elementwise.hpp>
#include <wengert/backends/cuda/guard.hpp>
#include <wengert/backends/cuda/index.hpp>
#include <wengert/backends/cuda/matmul.hpp>
#include <wengert/backends/cuda/metrics.hpp>
#include <wengert/backends/cuda/optimiser.hpp>
#include <wengert/backends/cuda/pool.hpp>
#include <wengert/backends/cuda/queue.hpp>
#include <wengert/backends/cuda/reduce.hpp>
#include <wengert/backends/cuda/softmax.hpp>

namespace wengert::cuda {

// One struct of function pointers a file of kernels/, declared in a header of the same name beside this one:
//   conv.hpp        ConvFunctions
//   elementwise.hpp ElementwiseFunctions
//   ...
struct Functions {
  BatchNormFunctions batch_norm;
  ConvFunctions conv;
  CopyFunctions copy;
  DataFunctions data;
  DropoutFunctions dropout;
  ElementwiseFunctions elementwise;
  GuardFunctions guard;
  IndexFunctions index;
  MatmulFunctions matmul;
  MetricsFunctions metrics;
  OptimiserFunctions optimiser;
  PoolFunctions pool;
  ReduceFunctions reduce;
  SoftmaxFunctions softmax;
};

const Functions& emulated_functions();  // emulator/functions.cpp, in tests only

}  // namespace wengert::cuda
