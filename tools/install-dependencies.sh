#!/usr/bin/env bash
# Installs what building and testing need and is not there yet, with Debian's package manager; silent where nothing is missing.
#   tools/install-dependencies.sh [MORE-PACKAGES...]     e.g. libfmt-dev:arm64, for another processor
set -euo pipefail

packages=(
  cmake ninja-build python3
  libfmt-dev libtbb-dev libxtensor-dev libxtensor-blas-dev libopenblas-dev libhwy-dev libtomlplusplus-dev nlohmann-json3-dev
  zlib1g-dev libpng-dev libcli11-dev doctest-dev libboost-context-dev
  "$@"
)
command -v c++ >/dev/null || packages+=(g++)

if ! command -v apt-get >/dev/null; then
  echo "No apt-get here: install the equivalents of these Debian packages yourself: ${packages[*]}" >&2
  exit 0
fi

missing=()
native=$(dpkg --print-architecture)
for package in "${packages[@]}"; do
  architecture=$native
  [[ $package != *:* ]] || architecture=${package#*:}
  dpkg-query --show --showformat='${Architecture} ${db:Status-Status}\n' "${package%:*}" 2>/dev/null |
    grep -xE "($architecture|all) installed" >/dev/null || missing+=("$package")
done
((${#missing[@]})) || exit 0

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || {
    echo "These packages are missing, and there is no sudo; as root: apt-get install ${missing[*]}" >&2
    exit 1
  }
  as_root=(sudo)
fi
echo "Installing ${missing[*]}"
for package in "${missing[@]}"; do
  [[ $package != *:* ]] || "${as_root[@]}" dpkg --add-architecture "${package#*:}"
done
"${as_root[@]}" apt-get update --quiet=2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "${missing[@]}"
