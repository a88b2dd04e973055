"""Installs Wengert, moves the installation elsewhere, and uses it: the command finds its data, nothing of the building
machine is in it, and a separate project builds on find_package(wengert) without any third-party header."""
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

CMAKE = os.environ["WENGERT_CMAKE"]
SOURCE = pathlib.Path(os.environ["WENGERT_SOURCE"])
BUILD = pathlib.Path(os.environ["WENGERT_BUILD"])
HIDDEN = ["fmt", "TBB", "xtensor", "xtensor-blas", "OpenBLAS", "tomlplusplus", "nlohmann_json", "ZLIB", "PNG", "CLI11"]


def run(*command, **options):
    print("+", shlex.join(map(str, command)), flush=True)
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    print(result.stdout, flush=True)
    if result.returncode:
        sys.exit(f"exit code {result.returncode}")
    return result.stdout


def headers_read(command, folder):
    """The headers that a compiler's command reads, by its own list of dependencies."""
    rule = subprocess.run(command + ["-M", "-MF", "-"], cwd=folder, check=True, capture_output=True, text=True).stdout
    words = rule.split(":", 1)[1].replace("\\\n", " ").replace("\\ ", "\0").split()
    return {os.path.realpath(os.path.join(folder, word.replace("\0", " "))) for word in words}


def check_no_trace(prefix):
    """No path of the building machine in what was installed (debugging information has them, on purpose)."""
    if os.environ["WENGERT_BUILD_TYPE"] != "Release":
        return
    for path in prefix.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for folder in (SOURCE, BUILD):
                if bytes(folder) + b"/" in content:
                    sys.exit(f"{path.relative_to(prefix)} holds the path {folder}")


def check_consumer(prefix, build):
    flags = os.environ["WENGERT_CXX_FLAGS"]
    run(CMAKE, "-S", SOURCE / "tests" / "consumer", "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_CXX_FLAGS={flags}",
        f"-DCMAKE_CXX_COMPILER={os.environ['WENGERT_CXX']}", *[f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in HIDDEN])
    run(CMAKE, "--build", build)
    run(build / "consumer")
    for program, says in (("explore", "1.18"), ("custom_op", "pass: ")):
        if says not in run(build / program):
            sys.exit(f"{program} does not say {says}")

    entry = next(entry for entry in json.loads((build / "compile_commands.json").read_text()) if entry["file"].endswith("main.cpp"))
    command = shlex.split(entry["command"])
    command = [word for previous, word in zip([""] + command, command) if "-o" not in (previous, word) and word != "-c"]
    standard = build / "standard.cpp"
    standard.write_text("#include <bits/stdc++.h>\n")
    source = command.index(entry["file"])
    allowed = headers_read(command[:source] + [str(standard)] + command[source + 1:], build)
    others = [path for path in headers_read(command, build) - allowed - {os.path.realpath(entry["file"])}
              if not path.startswith(os.path.realpath(prefix / "include" / "wengert") + "/")]
    if others:
        sys.exit("the consumer read headers that are neither the standard library's nor Wengert's:\n" + "\n".join(sorted(others)))


with tempfile.TemporaryDirectory(prefix="wengert install ") as folder:
    folder = pathlib.Path(folder)
    run(CMAKE, "--install", BUILD, "--prefix", folder / "first")
    prefix = (folder / "first").rename(folder / "moved here")
    for wanted in ("bin/wengert", "lib/libwengert.so", "include/wengert/wengert.hpp", "include/wengert/xtensor.hpp",
                   "include/wengert/engine/types.hpp", "share/wengert/mnist/train-images-idx3-ubyte.gz",
                   "share/wengert/scripts/mnist_cnn.toml", "lib/cmake/wengert/wengertConfig.cmake"):
        if not (prefix / wanted).is_file():
            sys.exit(f"{wanted} was not installed")
    check_no_trace(prefix)
    check_consumer(prefix, folder / "consumer")
    run(prefix / "bin" / "wengert", "--version", cwd=folder)
    run(prefix / "bin" / "wengert", "train", "--steps", "1", "--examples", "64", "--quiet",
        "--out", folder / "model.safetensors", cwd=folder)
