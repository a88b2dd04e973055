"""What README.md shows is what the repository holds: its C++ programs are the consumer's, which are built, its listings are the files."""
import os
import pathlib
import re
import sys

SOURCE = pathlib.Path(os.environ["WENGERT_SOURCE"])
# Where the listings of a language come from.
SOURCES = {"cpp": [*sorted((SOURCE / "tests" / "consumer").glob("*.cpp")), SOURCE / "models" / "mnist_cnn.hpp"],
           "toml": sorted((SOURCE / "tools" / "scripts").glob("*.toml")),
           "cmake": [SOURCE / "tests" / "consumer" / "CMakeLists.txt"]}

errors = []
blocks = re.findall(r"^```(\w+)\n(.*?)^```$", (SOURCE / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
shown = set()
for language, text in blocks:
    if language not in SOURCES:
        continue
    # Indentation apart: a listing may be a part of a file.
    def plain(code):
        return "\n".join(line.strip() for line in code.strip().splitlines())
    found = [path for path in SOURCES[language] if plain(text) in plain(path.read_text())]
    if not found:
        errors.append(f"README.md shows {language} code that stands in none of its files:\n{text}")
    shown.update(found)
for path in SOURCES["cpp"]:
    if path not in shown and path.name != "main.cpp":
        errors.append(f"README.md does not show {path.relative_to(SOURCE)}")
for link in re.findall(r"\](?=\()\((?!https?:)([^)#]+)\)", re.sub(r"```.*?```", "", (SOURCE / "README.md").read_text(), flags=re.DOTALL)):
    if not (SOURCE / link).exists():
        errors.append(f"README.md links to {link}, which is not there")
if not blocks:
    errors.append("README.md shows nothing")
if errors:
    sys.exit("\n".join(errors))
