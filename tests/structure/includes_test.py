"""Reads every #include. Includes go one way: engine <- backends <- ops <- models <- {tests, tools}; a public header
includes standard headers and Wengert's only, so that nobody who uses the library needs a third-party package."""
import os
import pathlib
import re
import sys

SOURCE = pathlib.Path(os.environ["WENGERT_SOURCE"])
FOLDERS = ["engine", "backends", "ops", "models"]  # each may include itself and those before it
USERS = ["tests", "tools"]                         # these may include all folders
SUFFIXES = {".hpp", ".cpp", ".cuh", ".cu"}
# Headers for those who have the package anyway; no other public header may include them.
ADAPTORS = {"wengert/engine/xtensor.hpp", "wengert/engine/fmt.hpp", "wengert/xtensor.hpp"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
STANDARD = re.compile(r"[a-z_]+")                  # <vector>: only the standard library's headers have no suffix

errors = []
files = 0
for folder in FOLDERS + USERS:
    visible = FOLDERS[:FOLDERS.index(folder) + 1] if folder in FOLDERS else FOLDERS
    for path in sorted((SOURCE / folder).rglob("*")):
        if path.suffix not in SUFFIXES:
            continue
        files += 1
        name = path.relative_to(SOURCE).as_posix()
        public = folder in FOLDERS and path.suffix == ".hpp" and not name.endswith("-inl.hpp")  # those are private to the .cpp files beside them
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            match = INCLUDE.match(line)
            if not match:
                continue
            quote, target = match.groups()

            def wrong(why):
                errors.append(f"{name}:{number}: {line.strip()}: {why}")

            if quote == '"':
                if folder in FOLDERS:
                    wrong("write <wengert/FOLDER/NAME.hpp>")
                elif not (path.parent / target).resolve().is_relative_to(SOURCE / folder):
                    wrong(f'"..." is for files of {folder}/ itself')
                continue
            if target.startswith("wengert/"):
                part = target.split("/")[1]
                if part == "wengert.hpp":
                    if folder in FOLDERS:
                        wrong("the umbrella header is for users only")
                elif part != "xtensor.hpp" and part not in visible:
                    wrong(f"{folder}/ may include only {', '.join(visible)}")
                elif public and target in ADAPTORS:
                    wrong("an adaptor to a third-party package, not for public headers")
            elif public and f"wengert/{name}" not in ADAPTORS and not STANDARD.fullmatch(target):
                wrong("a public header includes standard and Wengert headers only")

print(f"{files} files read")
if errors or not files:
    sys.exit("\n".join(errors) or "no file found")
