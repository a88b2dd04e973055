// The metrics kernels for the device.
#include <wengert/backends/cuda/kernels/metrics.hpp>

namespace wengert::cuda {

MetricsFunctions device_metrics_functions() { return device::metrics_functions(); }

}  // namespace wengert::cuda
