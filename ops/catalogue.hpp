// The public list of built-in ops: every family, and the catalogue of them all.
#pragma once

#include <wengert/engine/catalogue.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/ops/activation.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/average_pool.hpp>
#include <wengert/ops/batch_norm.hpp>
#include <wengert/ops/conv.hpp>
#include <wengert/ops/data.hpp>
#include <wengert/ops/dropout.hpp>
#include <wengert/ops/index.hpp>
#include <wengert/ops/matmul.hpp>
#include <wengert/ops/max_pool.hpp>
#include <wengert/ops/optimiser.hpp>
#include <wengert/ops/reduce.hpp>
#include <wengert/ops/shape.hpp>
#include <wengert/ops/softmax.hpp>

namespace wengert {

// All built-in ops. A copy is an application's own: add ops and kernels to it and give it to its tapes.
Catalogue builtin_catalogue();

}  // namespace wengert
