#include <wengert/ops/cuda/device.hpp>

#include <wengert/backends/cuda/open.hpp>
#include <wengert/engine/device_catalogue.hpp>
#include <wengert/ops/catalogue.hpp>

namespace wengert {

void use_builtin_ops_on_devices() {
  static const Catalogue catalogue = builtin_catalogue();
  set_device_catalogue(&catalogue);
}

Device cuda_device(int index) {
  const Device device = open_cuda_device(index);
  use_builtin_ops_on_devices();
  return device;
}

}  // namespace wengert
