#!/usr/bin/env bash
# Builds Wengert for the GPU of this machine, tests it there and measures it, and writes one file.
#   tools/bench/gpu.sh [--out FILE] [--pytorch PYTHON] [--quick]
# FILE is build/gpu.md. PYTHON is an interpreter that has PyTorch for CUDA, to compare with; the sanitizers are left out by --quick.
set -euo pipefail
if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  sed -n '2,4s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
  exit
fi
root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")

capabilities=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | tr -d . | sort -un | paste -sd ';') || {
  echo "tools/bench/gpu.sh: wanted an NVIDIA GPU, nvidia-smi finds none" >&2
  exit 2
}
cmake -S "$root" -B "$root/build/gpu" -DCMAKE_BUILD_TYPE=Release -DWENGERT_CUDA=ON -DWENGERT_CUDA_ARCHITECTURES="$capabilities"
cmake --build "$root/build/gpu" --parallel "$(nproc)"
exec python3 "$root/tools/bench/gpu.py" --build "$root/build/gpu" "$@"
