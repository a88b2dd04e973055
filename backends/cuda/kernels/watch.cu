// The kernels that look for values that are not finite, for the device.
#include <wengert/backends/cuda/kernels/watch.hpp>

namespace wengert::cuda {

WatchFunctions device_watch_functions() { return device::watch_functions(); }

}  // namespace wengert::cuda
