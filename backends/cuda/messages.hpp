// What is said where a CUDA device can't be had or can't go on: apart from the calls that find it out, so that tests need no GPU.
#pragma once

#include <string>

#include <wengert/engine/types.hpp>

namespace wengert::cuda {

std::string bytes_text(Index bytes);             // "512 bytes", "1.5 KiB", "79.2 GiB"
std::string version_text(int version);           // CUDA's 12080 is "12.8"
std::string free_text(Index free, Index total);  // "1.2 GiB of 79.2 GiB are free"

// "wanted ..., found ...": of versions as CUDA numbers them, the driver's 0 where there is none.
std::string old_driver_text(int driver, int wanted);
// The same; `visible` is the variable CUDA_VISIBLE_DEVICES, or null.
std::string no_device_text(const char* visible);
std::string no_such_device_text(int index, int count);

// Which kernels a build has, and which a device of this compute capability wants. `driver_is_old`: too old for the PTX of the newest of them.
std::string no_image_text(int major, int minor, const std::string& built, bool driver_is_old = false);
// To follow the name of an error after which CUDA does nothing more in a process.
std::string lasting_text(int device);

}  // namespace wengert::cuda
