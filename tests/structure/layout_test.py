"""The top level of the repository holds what it should and no more, and the data files are the published ones."""
import gzip
import hashlib
import os
import pathlib
import subprocess
import sys

SOURCE = pathlib.Path(os.environ["WENGERT_SOURCE"])
WANTED = {"engine", "backends", "ops", "models", "tests", "tools",
          "CMakeLists.txt", "CMakePresets.json", "LICENSE", "README.md"}
DOTTED = {".ci", ".clang-format", ".gitattributes", ".gitignore"}


def top_level():
    """What git tracks, so that a user's own files are nobody's business; everything but build folders where there is no git."""
    git = subprocess.run(["git", "-C", SOURCE, "ls-files", "-z"],
                         capture_output=True, text=True)
    if git.returncode == 0 and (SOURCE / ".git").exists():
        paths = [path for path in git.stdout.split("\0") if path and (SOURCE / path).exists()]
        return {path.split("/")[0] for path in paths}
    return {path.name for path in SOURCE.iterdir() if not path.name.startswith("build")} - {".git"}


errors = []
found = top_level()
for name in sorted((WANTED | DOTTED) - found):
    errors.append(f"{name} is missing from the top level")
for name in sorted(found - WANTED - DOTTED):
    errors.append(f"{name} does not belong to the top level")

# models/mnist/README.md lists the digest of each file as it lies there, and of what it holds.
mnist = SOURCE / "models" / "mnist"
listed = {}
for line in (mnist / "README.md").read_text().splitlines():
    words = line.split()
    if len(words) == 2 and len(words[0]) == 64:
        listed[words[1]] = words[0]
files = sorted(mnist.glob("*.gz"))
if len(files) != 4:
    errors.append(f"wanted four files of MNIST, got {[path.name for path in files]}")
for path in files:
    packed = path.read_bytes()
    for name, content in ((path.name, lambda: packed), (path.stem, lambda: gzip.decompress(packed))):
        digest = hashlib.sha256(content()).hexdigest()
        if listed.get(name) != digest:
            errors.append(f"{name}: wanted SHA-256 {listed.get(name)} as models/mnist/README.md says, got {digest}")
            break

if errors:
    sys.exit("\n".join(errors))
