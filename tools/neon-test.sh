#!/usr/bin/env bash
# Installs what is missing, builds the vector kernels and their tests for 64-bit ARM into build/neon, and runs the tests under an emulator.
#   tools/neon-test.sh
set -euo pipefail
if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  echo "usage: tools/neon-test.sh: builds the vector kernels for NEON and runs their tests under an emulator"
  exit
fi
if (($#)); then
  echo "tools/neon-test.sh: wanted no arguments, got '$1'; see tools/neon-test.sh --help" >&2
  exit 2
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools/install-dependencies.sh g++-aarch64-linux-gnu qemu-user-static libfmt-dev:arm64 libhwy-dev:arm64

CMAKE_GENERATOR=Ninja cmake -S tests/neon -B build/neon -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++
cmake --build build/neon --parallel "$(nproc)"
qemu-aarch64-static build/neon/neon_tests  # one of the tests is that NEON is what all others test
