#!/usr/bin/env bash
# From a fresh checkout to a trained network: installs what is missing, builds into build/, trains the report's network on
# MNIST, evaluates it on the test set and shows some digits with their predictions. It can be run again at any time.
#   tools/quickstart.sh [EPOCHS]
set -euo pipefail
usage="usage: tools/quickstart.sh [EPOCHS]: builds, trains the report's network on MNIST (3 epochs), evaluates it and shows some digits"
case ${1-3} in
  -h | --help) echo "$usage" && exit ;;
  *[!0-9]* | "") echo "$usage" >&2 && exit 2 ;;
esac
(($# <= 1)) || { echo "$usage" >&2 && exit 2; }
epochs=${1-3}
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools/install-dependencies.sh
CMAKE_GENERATOR=Ninja cmake -S . -B build -DCMAKE_BUILD_TYPE=Release
cmake --build build --target wengert_command --parallel "$(nproc)"

show() {
  printf '\n$ %s\n' "$*"
  "$@"
}
model=build/mnist.safetensors
show build/bin/wengert train --epochs "$epochs" --out "$model"
show build/bin/wengert evaluate "$model"
show build/bin/wengert predict "$model" --index 0 1 2
