"""What CMake says and chooses: one message that names the Debian package for each absent dependency, and Release by default."""
import os
import pathlib
import subprocess
import sys
import tempfile

PACKAGES = {"fmt": "libfmt-dev", "TBB": "libtbb-dev", "xtensor": "libxtensor-dev", "OpenBLAS": "libopenblas-dev",
            "xtensor-blas": "libxtensor-blas-dev", "hwy": "libhwy-dev", "tomlplusplus": "libtomlplusplus-dev",
            "nlohmann_json": "nlohmann-json3-dev", "ZLIB": "zlib1g-dev", "PNG": "libpng-dev", "CLI11": "libcli11-dev",
            "doctest": "doctest-dev", "boost_context": "libboost-context-dev", "Python3": "python3"}  # in the order of tools/cmake/Dependencies.cmake


def configure(build, absent, *options):
    hidden = [f"-DCMAKE_DISABLE_FIND_PACKAGE_{package}={'ON' if package in absent else 'OFF'}" for package in PACKAGES]
    return subprocess.run([os.environ["WENGERT_CMAKE"], "-S", os.environ["WENGERT_SOURCE"], "-B", build,
                           f"-DCMAKE_CXX_COMPILER={os.environ['WENGERT_CXX']}", *hidden, *options], capture_output=True, text=True)


errors = []
with tempfile.TemporaryDirectory(prefix="wengert configure ") as folder:
    for absent in [[package] for package in PACKAGES] + [["TBB", "PNG"]]:
        result = configure(folder, absent, "-DWENGERT_CUDA=OFF")
        message = result.stderr
        wanted = "sudo apt-get install " + " ".join(PACKAGES[package] for package in absent)
        if result.returncode == 0 or message.count("CMake Error") != 1 or wanted + "\n" not in message:
            errors.append(f"without {', '.join(absent)}: wanted one message with '{wanted}', got:\n{message}")
    result = configure(folder, [], "-DWENGERT_CUDA=OFF")
    if result.returncode != 0:
        errors.append(f"with every package: {result.stderr}")
    elif "CMAKE_BUILD_TYPE:STRING=Release" not in (pathlib.Path(folder) / "CMakeCache.txt").read_text():
        errors.append("without a build type named: wanted Release")
    for cuda, hidden, wanted in (("ON", "ON", "WENGERT_CUDA=ON wants"), ("AUTO", "ON", ""), ("OFF", "OFF", ""), ("MAYBE", "OFF", "wanted WENGERT_CUDA=")):
        result = configure(folder, [], f"-DWENGERT_CUDA={cuda}", f"-DCMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit={hidden}")
        if (result.returncode == 0) != (wanted == "") or wanted not in result.stderr or result.stderr.count("CMake Error") != (wanted != ""):
            errors.append(f"WENGERT_CUDA={cuda} without CUDA's libraries: wanted '{wanted}', got exit code {result.returncode}: {result.stderr}")
        if wanted == "" and "WENGERT_CUDA_FOUND:INTERNAL=OFF" not in (pathlib.Path(folder) / "CMakeCache.txt").read_text():
            errors.append(f"WENGERT_CUDA={cuda} without CUDA's libraries: wanted a build without CUDA")
if errors:
    sys.exit("\n".join(errors))
