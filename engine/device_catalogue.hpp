// The ops with their kernels for devices, for calls on values there whose tape has no catalogue.
#pragma once

#include <wengert/engine/catalogue.hpp>

namespace wengert {

// null, as at first: such calls take ops as they were written, with kernels for the host alone. It must live as long as the process.
void set_device_catalogue(const Catalogue* catalogue);
const Catalogue* device_catalogue();

}  // namespace wengert
