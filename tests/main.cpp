// The entry point of wengert_tests; the cases stand in the *_test.cpp files beside it. They find cuda:0 open: emulated on the host, or a real one
// where the variable WENGERT_TEST_DEVICE says cuda.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdlib>
#include <iostream>
#include <string>

#include <wengert/backends/cuda/emulator/runtime.hpp>
#include <wengert/engine/device.hpp>
#include <wengert/ops/cuda/device.hpp>

int main(int count, char** words) {
  try {
    const char* const device = std::getenv("WENGERT_TEST_DEVICE");
    if (device != nullptr && std::string(device) == "cuda") wengert::cuda_device(0);
    else wengert::open_device(wengert::cuda::emulated_runtime({})), wengert::use_builtin_ops_on_devices();
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
  return doctest::Context(count, words).run();
}
