#include <wengert/backends/cuda/functions.hpp>

namespace wengert::cuda {

const Functions& emulated_functions() {
  static const Functions functions{};
  return functions;
}

}  // namespace wengert::cuda
