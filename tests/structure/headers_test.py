"""Compiles every public header alone, with all warnings as errors: each includes what it needs."""
import concurrent.futures
import os
import pathlib
import shlex
import subprocess
import sys

SOURCE = pathlib.Path(os.environ["WENGERT_SOURCE"])
INCLUDE = pathlib.Path(os.environ["WENGERT_BUILD"]) / "include"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]


def compile_alone(header):
    command = [os.environ["WENGERT_CXX"], *shlex.split(os.environ["WENGERT_CXX_FLAGS"]), "-std=c++20", *WARNINGS,
               "-I", str(INCLUDE), "-fsyntax-only", "-x", "c++", "-"]
    return subprocess.run(command, input=f"#include <{header}>\n", text=True, capture_output=True)


headers = [f"wengert/{path.relative_to(SOURCE).as_posix()}"
           for folder in ("engine", "backends", "ops", "models") for path in sorted((SOURCE / folder).rglob("*.hpp"))
           if not path.name.endswith("-inl.hpp")]  # private to the .cpp files beside them
headers += ["wengert/wengert.hpp", "wengert/xtensor.hpp"]
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    results = list(pool.map(compile_alone, headers))
failures = [f"<{header}> does not compile alone:\n{result.stderr}"
            for header, result in zip(headers, results) if result.returncode]
print(f"{len(headers)} headers compiled")
if failures:
    sys.exit("\n".join(failures))
