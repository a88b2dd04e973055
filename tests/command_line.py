"""What the tests of the command share: running `wengert`, making its files, and collecting what is wrong."""
import json
import os
import struct
import subprocess
import sys
import zlib

COMMAND = os.environ["WENGERT_COMMAND"]
failures = []


def check(condition, text):
    if not condition:
        failures.append(text)


def shown(arguments):
    return "wengert " + " ".join(map(str, arguments))


def wengert(*arguments, status=0, **how):
    done = subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600, **how)
    check(done.returncode == status, f"{shown(arguments)}: status {done.returncode}, wanted {status}\n{done.stdout[-500:]}{done.stderr[-800:]}")
    return done


def check_error(arguments, error, says):
    """One line that says it."""
    check(len(error.strip().splitlines()) == 1 and says in error, f"{shown(arguments)}: wanted one line with {says!r}, got {error!r}")


def refused(*arguments, says):
    done = wengert(*arguments, status=2)
    check_error(arguments, done.stderr, says)
    check(done.stdout == "", f"{shown(arguments)}: wrote to standard output: {done.stdout!r}")


def write_idx(path, sizes, values):
    path.write_bytes(struct.pack(f">BBBB{len(sizes)}I", 0, 0, 8, len(sizes), *sizes) + bytes(values))


def write_set(folder, images, height, width, labels=None, classes=10):
    """A data set, the same pictures in both splits: each shows a bright row at its class. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = [i % classes for i in range(images)] if labels is None else labels
    pixels = b"".join(bytes(255 if y == i % classes else 0 for y in range(height) for _ in range(width)) for i in range(images))
    for stem in ("train", "t10k"):
        write_idx(folder / f"{stem}-images-idx3-ubyte", (images, height, width), pixels)
        write_idx(folder / f"{stem}-labels-idx1-ubyte", (len(labels),), labels)
    return folder


def edit_header(path, edit, target=None):
    """Changes the JSON header of a safetensors file, in place or to another file; the tensors stay."""
    content = path.read_bytes()
    start = 8 + struct.unpack_from("<Q", content)[0]
    header = json.loads(content[8:start])
    edit(header)
    text = json.dumps(header).encode()
    (target or path).write_bytes(struct.pack("<Q", len(text)) + text + content[start:])


def set_all(path, name, value):
    """Sets every element of one f32 tensor of a safetensors file."""
    content = bytearray(path.read_bytes())
    start = 8 + struct.unpack_from("<Q", content)[0]
    begin, end = json.loads(content[8:start])[name]["data_offsets"]
    content[start + begin:start + end] = struct.pack("<f", value) * ((end - begin) // 4)
    path.write_bytes(content)


def write_png(path, width, height, pixels):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes(pixels[y * width:(y + 1) * width]) for y in range(height))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def finish():
    for failure in failures:
        print("FAILED:", failure)
    print(f"{len(failures)} failed")
    sys.exit(1 if failures else 0)
