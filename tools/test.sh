#!/usr/bin/env bash
# Installs what is missing, builds everything into build/ and runs every test.
#   tools/test.sh [ARGUMENTS-OF-CTEST...]      e.g. tools/test.sh -R gradcheck
set -euo pipefail
if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  echo "usage: tools/test.sh [ARGUMENTS-OF-CTEST...]: builds everything and runs the tests, e.g. tools/test.sh -R gradcheck"
  exit
fi
if [[ -n ${1:-} && $1 != -* ]]; then
  echo "tools/test.sh: wanted arguments of ctest, which begin with '-', got '$1'; see tools/test.sh --help" >&2
  exit 2
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools/install-dependencies.sh python3-venv gnuplot-nox

# One test reads a saved model with the Python package safetensors, which Debian does not have; without it that test is skipped.
python=build/python/bin/python3
if [[ ! -x $python ]]; then
  mkdir -p build
  python3 -m venv build/python
fi
"$python" -c 'import numpy, safetensors' 2>/dev/null ||
  "$python" -m pip install --quiet --no-cache-dir --disable-pip-version-check numpy safetensors ||
  echo "The Python package safetensors could not be installed: its test will be skipped." >&2

CMAKE_GENERATOR=Ninja cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DPython3_EXECUTABLE="$PWD/$python"
cmake --build build --parallel "$(nproc)"
ctest --test-dir build --output-on-failure --parallel "$(nproc)" "$@"
