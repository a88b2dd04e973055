"""Every public header compiles alone, with all warnings as errors: each includes what it needs.

The build has proved it of most: a header whose #include is the first line of code of a source that was built with these warnings stood there
with nothing before it, and so did the header that it includes first in turn. The others are compiled here."""
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

SOURCE = pathlib.Path(os.environ["WENGERT_SOURCE"])
BUILD = pathlib.Path(os.environ["WENGERT_BUILD"])
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]


def first_include(path):
    """The header that a file includes before it says anything else, or None."""
    for line in path.read_text().splitlines():
        if line.startswith("//") or line.strip() in ("", "#pragma once"):
            continue
        match = re.fullmatch(r"#include <(wengert/[^>]+)>.*", line)
        return match and match[1]


def proved_by_the_build(headers):
    """Those that stand first in a source built with the warnings, and theirs."""
    proved = set()
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        if not set(WARNINGS) <= set(shlex.split(entry["command"])):
            continue
        header = first_include(pathlib.Path(entry["file"]))
        while header in headers and header not in proved:
            proved.add(header)
            header = first_include(headers[header])
    return proved


def compile_alone(header):
    command = [os.environ["WENGERT_CXX"], *shlex.split(os.environ["WENGERT_CXX_FLAGS"]), "-std=c++20", *WARNINGS,
               "-I", str(BUILD / "include"), "-fsyntax-only", "-x", "c++", "-"]
    return subprocess.run(command, input=f"#include <{header}>\n", text=True, capture_output=True)


def name_of(path):
    """What users include: some headers have a short name."""
    name = path.relative_to(SOURCE).as_posix()
    return "wengert/" + (path.name if name in ("models/wengert.hpp", "engine/xtensor.hpp", "engine/fmt.hpp") else name)


headers = {name_of(path): path
           for folder in ("engine", "backends", "ops", "models") for path in sorted((SOURCE / folder).rglob("*.hpp"))
           if not path.name.endswith("-inl.hpp")}  # private to the .cpp files beside them
proved = proved_by_the_build(headers)
left = [header for header in headers if header not in proved]
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    results = list(pool.map(compile_alone, left))
failures = [f"<{header}> does not compile alone:\n{result.stderr}"
            for header, result in zip(left, results) if result.returncode]
print(f"{len(headers)} headers: {len(proved)} compiled alone by the build, {len(left)} here")
if failures:
    sys.exit("\n".join(failures))
