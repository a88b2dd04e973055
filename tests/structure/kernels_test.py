"""Every kernel file opens with its rung, the idea and the command that times it, or says whose part it is timed as. A header speaks for the
source of its name."""
import os
import pathlib
import sys

BACKENDS = pathlib.Path(os.environ["WENGERT_SOURCE"]) / "backends"
NO_KERNELS = {"direct/target"}  # chooses the instruction set of the others
NO_FOLDERS = {"cuda"}           # its kernels are headers, compiled for a device and for its emulator


def opening(path):
    """The comment that the file begins with."""
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("//"):
            break
        lines.append(line)
    return "\n".join(lines)


errors = []
sources = sorted(path for path in BACKENDS.glob("*/*.cpp") if path.parent.name not in NO_FOLDERS)
for source in sources:
    name = source.relative_to(BACKENDS).with_suffix("").as_posix()
    text = "\n".join(opening(path) for path in (source.with_suffix(".hpp"), source) if path.exists())
    times_itself = "wengert bench " in text and ("ung" in text or "wengert bench peak" in text)
    if name not in NO_KERNELS and not times_itself and "imed as a part of" not in text:
        errors.append(f"backends/{name}: wanted an opening comment with its rung, the idea and 'wengert bench ...', "
                      f"or 'Timed as a part of ...', got:\n{text or 'none'}")
print(f"{len(sources)} files of kernels")
if not sources or errors:
    sys.exit("\n".join(errors) or "wanted files of kernels, found none")
