#!/usr/bin/env bash
# Installs the peers that `wengert experiment` and tools/bench/compare.py compare with, each in an environment of its own. All together take 7 GB.
#   tools/bench/setup-peers.sh [--into FOLDER] [PEER...]        FOLDER is build/peers, without a PEER all of them
# Peers: torch torch-debian tensorflow jax onnxruntime onednn onednn-debian; pytorch and keras are torch and tensorflow
# A peer that cannot be installed is named and skipped. Where packages come from is the business of pip's and apt's configuration.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit

all=(torch torch-debian tensorflow jax onnxruntime onednn onednn-debian)
folder=build/peers
asked=()
while (($#)); do
  case $1 in
    --into)
      folder=${2:?--into wants a folder}
      shift
      ;;
    -h | --help)
      sed -n '2,5s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    pytorch) asked+=(torch) ;;
    keras) asked+=(tensorflow) ;;
    *)
      [[ " ${all[*]} " == *" $1 "* ]] || {
        echo "[setup-peers] wanted one of: ${all[*]}, pytorch, keras; got '$1'" >&2
        exit 2
      }
      asked+=("$1")
      ;;
  esac
  shift
done
((${#asked[@]})) || asked=("${all[@]}")
mkdir -p "$folder"
folder=$(realpath "$folder")

# environment NAME PYTHON [OPTIONS-OF-VENV...]
environment() {
  local at=$folder/$1 python=$2
  shift 2
  [[ -x $at/bin/python ]] || "$python" -m venv "$@" "$at"
}
# packages NAME PACKAGE...: without pip's cache, which would hold a second copy of everything.
packages() {
  local at=$folder/$1
  shift
  "$at/bin/python" -m pip install --quiet --no-cache-dir --disable-pip-version-check "$@"
}
# chain NAME [PREFIX]: builds onednn_step and onednn_conv with the oneDNN under PREFIX, or with the system's.
chain() {
  cmake -S tools/bench -B "$folder/$1/build" -DCMAKE_BUILD_TYPE=Release -DONEDNN_PREFIX="${2-}" && cmake --build "$folder/$1/build"
}

install() {
  case $1 in
    torch) environment torch python3 && packages torch numpy torch && "$folder/torch/bin/python" -c 'import torch' ;;
    torch-debian)  # only Debian's own interpreter finds Debian's packages
      tools/install-dependencies.sh python3-venv python3-torch python3-numpy &&
        environment torch-debian /usr/bin/python3 --system-site-packages && "$folder/torch-debian/bin/python" -c 'import torch'
      ;;
    tensorflow) environment tensorflow python3 && packages tensorflow tensorflow-cpu && "$folder/tensorflow/bin/python" -c 'import tensorflow' ;;
    jax) environment jax python3 && packages jax jax && "$folder/jax/bin/python" -c 'import jax' ;;
    onnxruntime)
      environment onnxruntime python3 && packages onnxruntime numpy onnx onnxruntime &&
        "$folder/onnxruntime/bin/python" -c 'import onnx, onnxruntime'
      ;;
    onednn)  # with libgomp; later versions of the index come with a compiler's run time of their own
      environment onednn python3 && packages onednn onednn-devel-cpu-gomp && chain onednn "$folder/onednn"
      ;;
    onednn-debian) tools/install-dependencies.sh libdnnl-dev && chain onednn-debian ;;
  esac
}

tools/install-dependencies.sh python3-venv python3-dev || true  # torch.compile compiles with Python's headers
absent=()
for peer in "${asked[@]}"; do
  echo "== $peer"
  install "$peer" || absent+=("$peer")
done
du -sh "$folder" | sed 's/^/Size: /'
((${#absent[@]} == 0)) || {
  echo "Not installed, and skipped by comparisons: ${absent[*]}" >&2
  exit 1
}
