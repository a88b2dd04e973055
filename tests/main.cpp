// The entry point of wengert_tests; the cases stand in the *_test.cpp files beside it. They find cuda:0 open: emulated on the host, or a real one
// where the variable WENGERT_TEST_DEVICE says cuda. (CUDA_VISIBLE_DEVICES chooses among several.)
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdlib>
#include <iostream>
#include <string>

#include <wengert/backends/cuda/emulator/runtime.hpp>
#include <wengert/engine/device.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/ops/cuda/device.hpp>

int main(int count, char** words) {
  try {
    const char* const wanted = std::getenv("WENGERT_TEST_DEVICE");
    const wengert::Device device = wengert::parse_device(wanted != nullptr ? wanted : "cpu"), first{wengert::Device::Kind::cuda, 0};
    if (device == first) {
      wengert::cuda_device(0);
    } else if (device == wengert::Device{}) {
      wengert::open_device(wengert::cuda::emulated_runtime({})), wengert::use_builtin_ops_on_devices();
    } else {
      wengert::fail("[tests] wanted WENGERT_TEST_DEVICE=cpu or cuda, got '" + text_of(device) + "': choose it by CUDA_VISIBLE_DEVICES");
    }
    if (wanted != nullptr) std::cout << "on " << wengert::device_runtime(first)->describe() << '\n';
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
  return doctest::Context(count, words).run();
}
