// An op that an application defines for itself, in its own files: swish(x) = x sigmoid(x) (Ramachandran, Zoph, Le 2017).
#pragma once

#include <wengert/engine/tape.hpp>

namespace app {

wengert::Var swish(const wengert::At& x);

// For the application's copy of the catalogue, which checks that nothing is missing: catalogue.add(app::swish_op()).
wengert::Op swish_op();

}  // namespace app
