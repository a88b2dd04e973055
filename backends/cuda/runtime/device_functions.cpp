// The kernels that nvcc compiled, as one table.
#include <wengert/backends/cuda/functions.hpp>

namespace wengert::cuda {

const Functions& device_functions() {
  static const Functions functions{device_watch_functions()};
  return functions;
}

}  // namespace wengert::cuda
