#include <wengert/engine/device_catalogue.hpp>

#include <atomic>

namespace wengert {

namespace {

std::atomic<const Catalogue*> for_devices{nullptr};

}  // namespace

void set_device_catalogue(const Catalogue* catalogue) { for_devices = catalogue; }
const Catalogue* device_catalogue() { return for_devices; }

}  // namespace wengert
