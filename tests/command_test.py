"""Every command line of `wengert`: results, JSON, exit codes, and errors of one line on standard error."""
import json
import os
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

from command_line import check, finish, refused, wengert


DEAD = """
name = "dead"
input = [1, 28, 28]
layers = [{ flatten = {} }, { linear = "off", units = 4 }, { relu = {} }, { linear = "last", units = 10, bias = false }]
"""


def check_help(command, text):
    """An example, and sentences without a full stop that begin with a capital (or a digit)."""
    check("\n  wengert " in text, f"{command} has no example")
    column = 30  # where descriptions stand
    options = text.split("\nExample")[0]
    described = [line[column:] for line in options.splitlines() if line.startswith("  ") and line[column - 1:column] == " " and line[column:].strip()]
    check(described, f"{command} describes nothing:\n{text}")
    for line in text.splitlines()[:1] + described:
        check(not line[0].islower() and not line[0].isspace(), f"{command}: wanted a capital: {line}")
    for line in described:
        check(not line.endswith("."), f"{command}: wanted no full stop: {line}")


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


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    model, half, whole, rest = (folder / f"{n}.safetensors" for n in ("model", "half", "whole", "rest"))
    short = ["--examples", 600, "--epochs", 2, "--batch", 32]

    check(wengert("--version").stdout.strip() != "", "--version prints nothing")
    for sub in ("", "train", "evaluate", "predict", "gradcheck", "ops", "summary", "bench", "bench overhead", "bench conv",
                "bench op", "bench step", "bench peak"):
        check_help(f"wengert {sub} --help", wengert(*sub.split(), "--help").stdout)

    out = json.loads(wengert("train", *short, "--validation", 100, "--out", model, "--history", folder / "h.jsonl", "--json").stdout)
    check(len(out["epochs"]) == 2 and out["steps"] == 32, f"train --json: {out}")
    history = [json.loads(line) for line in (folder / "h.jsonl").read_text().splitlines()]
    check([h["epoch"] for h in history] == [1, 2] and "validation_accuracy" in history[0], f"history: {history}")

    out = json.loads(wengert("evaluate", model, "--json").stdout)
    check(0.5 < out["accuracy"] <= 1 and len(out["per_class"]) == 10 and sum(map(sum, out["confusion"])) == 10000, f"evaluate: {out}")
    check("accuracy" in wengert("evaluate", model).stdout, "evaluate prints no accuracy")

    write_png(folder / "one.png", 28, 28, [255 if 4 <= y < 24 and 13 <= x < 16 else 0 for y in range(28) for x in range(28)])
    write_png(folder / "big.png", 56, 56, [0 if 8 <= y < 48 and 26 <= x < 32 else 255 for y in range(56) for x in range(56)])
    out = json.loads(wengert("predict", model, folder / "one.png", folder / "big.png", "--index", 0, "--json").stdout)
    check(len(out) == 3 and "label" in out[2] and out[0]["class"] == out[1]["class"], f"predict: {out}")
    check("@" in wengert("predict", model, "--index", 0, 1).stdout, "predict draws nothing")

    wengert("train", *short, "--quiet", "--out", whole)
    wengert("train", *short, "--quiet", "--steps", 7, "--out", half)
    wengert("train", "--resume", half, "--quiet", "--serial", "--out", rest)
    check(whole.read_bytes() == rest.read_bytes(), "a resumed training differs from the uninterrupted one")
    refused("train", "--resume", half, "--batch", 16, "--out", rest, says="wanted batch '32'")
    refused("train", "--resume", half, "--seed", 9, "--out", rest, says="wanted seed '1'")
    refused("train", "--resume", half, "--kernel", "naive", "--out", rest, says="wanted kernel 'auto'")

    ops = json.loads(wengert("ops", "--json").stdout)["ops"]
    check(len(ops) >= 40, f"ops lists {len(ops)}")
    wengert("gradcheck", "conv2d")
    out = json.loads(wengert("gradcheck", "matmul", "--dtype", "f32", "--json").stdout)
    check(out["dtype"] == "f32" and out["verdict"] == "pass" and out["results"][0]["checks"] > 0, f"gradcheck --dtype f32 --json: {out}")
    check(wengert("gradcheck", "conv2d", "--dtype", "f32").stdout.startswith("conv2d: pass: "), "gradcheck --dtype f32 does not pass")
    refused("gradcheck", "conv2d", "--dtype", "f16", says="f16")
    # The one network whose check fails though its ops are right: a ReLU that is off everywhere leaves no gradient at all.
    (folder / "dead.toml").write_text(DEAD)
    wengert("train", folder / "dead.toml", "--epochs", 0, "--quiet", "--out", folder / "dead.safetensors")
    set_all(folder / "dead.safetensors", "off.bias", -1e6)
    done = wengert("gradcheck", folder / "dead.safetensors", status=1)
    check(": fail: " in done.stdout and "vacuous" in done.stdout, f"gradcheck without any gradient: {done.stdout}")
    done = json.loads(wengert("gradcheck", folder / "dead.safetensors", "--json", status=1).stdout)
    check(done["verdict"] == "fail", f"gradcheck --json without any gradient: {done}")
    scripts = Path(os.environ["WENGERT_SOURCE"]) / "tools" / "scripts"
    for script in sorted(scripts.glob("*.toml")):
        wengert("summary", script)
        check("digraph" in wengert("summary", script, "--dot").stdout, f"{script.name}: --dot draws no graph")
    wengert("train", scripts / "resnet.toml", "--examples", 128, "--epochs", 1, "--quiet", "--out", folder / "resnet.safetensors")
    wengert("bench", "overhead")
    wengert("bench", "conv", "--kernel", "im2col", "--shape", "8,2,12,12,4,3,3", "--json")
    step = json.loads(wengert("bench", "step", "--batch", 8, "--steps", 3, "--json").stdout)
    check({"ms_per_step", "batch", "threads"} <= step.keys(), f"bench step: {step}")
    peak = json.loads(wengert("bench", "peak", "--json").stdout)
    check(all(target["gflops"] > 0 for target in peak["multiply_add"]) and peak["multiply_add"], f"bench peak: {peak}")
    check([copy["area"] for copy in peak["copy"]] == ["L1", "L2", "memory"], f"bench peak: {peak}")
    check(all(copy["gigabytes_per_second"] > 0 for copy in peak["copy"]), f"bench peak: {peak}")
    check("GFLOP/s" in wengert("bench", "peak").stdout, "bench peak prints no GFLOP/s")

    # What a shell passes by mistake is refused with what was wanted.
    for value in ("abc", "1.5", "-1", "1e3", "99999999999999999999", "0x10", " 1", "5 "):
        bound = "most 2147483648" if value[0] == "9" else "least 0"
        refused("train", "--epochs", value, "--out", rest, says=f"--epochs: wanted a whole number of at {bound}, got '{value}'")
    for value in ("nan", "inf", "0", "-1", "1e999", "fast"):
        refused("train", "--rate", value, "--out", rest, says=f"--rate: wanted a number above 0, got '{value}'")
    refused("train", "--seed", "-1", "--out", rest, says="--seed: wanted a whole number from 0 to 18446744073709551615, got '-1'")
    refused("bench", "conv", "--shape", "1,1,a,8,1,3,3", says="--shape: wanted a whole number of at least 0, got 'a'")
    refused("train", "", says="wanted no empty arguments, number 2 is ''")
    refused("train", "--out=", says="number 2 is '--out='")
    refused("train", "--keep-best", "--quiet", *short, "--out", rest, says="wanted validation images for patience or keep_best")
    refused("train", "mpl", "--out", rest, says="did you mean 'mlp'")
    refused("summary", "zzzz", says="valid: fashion, lenet5, mlp, mnist_cnn")
    check("conv1" in wengert("summary", model).stdout and "conv1" in wengert("summary", "mnist_cnn").stdout, "summary of a model or an installed script")
    wengert("gradcheck", "mlp")
    (folder / "script").write_text((scripts / "mlp.toml").read_text())
    check("hidden" in wengert("summary", folder / "script").stdout, "a script without a suffix")
    check("warm-up of 100 steps does not end within the run's 1" in
          wengert("train", "resnet", "--examples", 8, "--epochs", 1, "--quiet", "--out", rest).stderr, "no warning of a long warm-up")

    # Files that are no models are never replaced by one, nor files that are no histories.
    precious = folder / "precious.toml"
    precious.write_text(DEAD)
    refused("train", precious, "--out", precious, says="wanted --out to be a new file or a saved model")
    refused("train", *short, "--out", rest, "--history", precious, says="wanted a history")
    check(precious.read_text() == DEAD, "a script was overwritten")

    # A model saved without its script, as from C++, is opened with --script.
    bare = folder / "bare.safetensors"
    content = model.read_bytes()
    start = 8 + struct.unpack_from("<Q", content)[0]
    header = json.loads(content[8:start])
    del header["__metadata__"]["wengert.script"]
    header = json.dumps(header).encode()
    bare.write_bytes(struct.pack("<Q", len(header)) + header + content[start:])
    refused("evaluate", bare, says="with --script")
    check(json.loads(wengert("predict", bare, "--script", "mnist_cnn", "--index", 0, "--json").stdout) ==
          json.loads(wengert("predict", model, "--index", 0, "--json").stdout), "predict --script differs")
    wengert("evaluate", bare, "--script", scripts / "mnist_cnn.toml")

    write_png(folder / "blank.png", 30, 30, [9] * 900)
    check("blank.png' is blank" in wengert("predict", model, folder / "blank.png").stderr, "no warning of a blank picture")
    odd = os.fsencode(folder) + b"/\xff.png"
    os.link(folder / "one.png", odd)
    done = subprocess.run([os.environ["WENGERT_COMMAND"], "predict", model, odd, "--json"], capture_output=True)
    check(done.returncode == 0 and json.loads(done.stdout)[0]["name"].endswith("\ufffd.png"), f"a name that is no UTF-8: {done}")

    # Standard streams that are closed or full are errors, not lost words or broken files.
    for stream in (">&-", "> /dev/full"):
        done = subprocess.run(f'"$WENGERT_COMMAND" ops {stream}', shell=True, capture_output=True, text=True)
        check(done.returncode == 2 and "standard output" in done.stderr, f"ops {stream}: {done}")
    done = subprocess.run('"$WENGERT_COMMAND" nothing 2>&-', shell=True)
    check(done.returncode == 2, f"closed standard error: {done}")
    tiny = f'"$WENGERT_COMMAND" train mlp --examples 64 --epochs 1 --out "{folder}/closed.safetensors"'
    done = subprocess.run(tiny + " <&- >&- 2>&-", shell=True)
    check(done.returncode == 2 and (folder / "closed.safetensors").stat().st_size > 400000, f"train without standard streams: {done}")
    wengert("evaluate", folder / "closed.safetensors")

    refused("tarin", says="train")
    refused("train", "--kernel", "im2cal", "--out", rest, says="did you mean 'im2col'")
    refused("train", "--data", folder / "nothing", "--out", rest, says="nothing")
    refused("train", "--out", folder / "no" / "where.safetensors", says="no/where")
    refused("evaluate", folder / "absent.safetensors", says="absent.safetensors")
    refused("evaluate", folder / "one.png", says="one.png")
    refused("predict", model, half, says="half.safetensors")
    refused("predict", model, "--index", 10000, says="[0,10000)")
    refused("gradcheck", "conv2", says="did you mean 'conv2d'")
    (folder / "bad.toml").write_text('name = "bad"\ninput = [1, 28, 28]\nlayers = [\n  { conv2d = "c", filers = 8, size = 5 },\n]\n')
    refused("summary", folder / "bad.toml", says="did you mean 'filters'")

finish()
