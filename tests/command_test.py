"""Every command line of `wengert`: results, JSON, exit codes, and errors of one line on standard error."""
import json
import os
import subprocess
import tempfile
from pathlib import Path

from command_line import check, edit_header, finish, refused, set_all, wengert, write_png, write_set


DEAD = """
name = "dead"
input = [1, 28, 28]
layers = [{ flatten = {} }, { linear = "off", units = 4 }, { relu = {} }, { linear = "last", units = 10, bias = false }]
"""


LITTLE = """
name = "little"
input = [1, 6, 6]
layers = [{ conv2d = "c", filters = 2, size = 3, activation = "tanh" }, { flatten = {} }, { linear = "fc", units = 3 }]
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


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    model, half, whole, rest = (folder / f"{n}.safetensors" for n in ("model", "half", "whole", "rest"))
    short = ["--examples", 600, "--epochs", 2, "--batch", 32]

    check(wengert("--version").stdout.strip() != "", "--version prints nothing")
    for sub in ("", "train", "evaluate", "predict", "gradcheck", "ops", "summary", "plan", "tune", "bench", "bench overhead", "bench conv",
                "bench op", "bench step", "bench predict", "bench peak"):
        check_help(f"wengert {sub} --help", wengert(*sub.split(), "--help").stdout)

    for sub in ("train", "plan", "summary", "bench conv", "bench step", "bench predict"):
        check("auto, naive, matrix, im2col, direct, winograd, cuda-plain" in wengert(*sub.split(), "--help").stdout, f"{sub} --help does not list the kernels")

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
    refused("train", "mlp", "--resume", half, "--out", rest, says="the model script differs")
    refused("train", "--resume", half, "--kernel", "naive", "--out", rest, says="wanted kernel 'auto'")

    ops = json.loads(wengert("ops", "--json").stdout)["ops"]
    check(len(ops) >= 40, f"ops lists {len(ops)}")
    wengert("gradcheck", "conv2d")
    out = json.loads(wengert("gradcheck", "matmul", "--dtype", "f32", "--json").stdout)
    check(out["dtype"] == "f32" and out["verdict"] == "pass" and out["results"][0]["checks"] > 0, f"gradcheck --dtype f32 --json: {out}")
    check(wengert("gradcheck", "conv2d", "--dtype", "f32").stdout.startswith("conv2d: pass: "), "gradcheck --dtype f32 does not pass")
    refused("gradcheck", "conv2d", "--dtype", "f16", says="f16")
    check("subjects: pass" in wengert("gradcheck", "--all").stdout, "gradcheck --all does not pass")
    one = json.loads(wengert("gradcheck", "conv2d", "--case", 1, "--input", 1, "--seed", 7, "--json").stdout)
    check(one["seed"] == 7 and one["verdict"] == "pass" and 0 < one["results"][0]["checks"], f"gradcheck --case --input --seed: {one}")
    every = json.loads(wengert("gradcheck", "conv2d", "--seed", 7, "--json").stdout)
    check(one["results"][0]["checks"] < every["results"][0]["checks"], f"--case and --input check as much as all: {one}")
    second = json.loads(wengert("gradcheck", "tanh", "--order", 2, "--json").stdout)
    check(second["order"] == 2 and second["verdict"] == "pass", f"gradcheck --order 2: {second}")
    refused("gradcheck", "conv2d", "--input", 9, says="has no input 9")
    refused("gradcheck", "--all", "--case", 0, says="--case")
    (folder / "little.toml").write_text(LITTLE)
    check(": pass: " in wengert("gradcheck", folder / "little.toml").stdout, "gradcheck of a script does not pass")
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
        out = json.loads(wengert("summary", script, "--json").stdout)
        check(out["name"] == script.stem and out["parameters"] > 0 and out["layers"], f"summary --json: {out}")
        check("digraph" in wengert("summary", script, "--dot").stdout, f"{script.name}: --dot draws no graph")
    wengert("train", scripts / "resnet.toml", "--examples", 128, "--epochs", 1, "--quiet", "--out", folder / "resnet.safetensors")

    # What a shell passes by mistake is refused with what was wanted.
    for value in ("abc", "1.5", "-1", "1e3", "99999999999999999999", "0x10", " 1", "5 "):
        bound = "most 2147483648" if value[0] == "9" else "least 0"
        refused("train", "--epochs", value, "--out", rest, says=f"--epochs: wanted a whole number of at {bound}, got '{value}'")
    for value in ("nan", "inf", "0", "-1", "1e999", "fast"):
        refused("train", "--rate", value, "--out", rest, says=f"--rate: wanted a number above 0, got '{value}'")
    refused("train", "--seed", "-1", "--out", rest, says="--seed: wanted a whole number from 0 to 18446744073709551615, got '-1'")
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
    (folder / "t.json").write_text('{"wengert_tuning": 1}')
    before = {path: path.read_bytes() for path in (precious, model, folder / "h.jsonl", folder / "t.json")}
    refused("train", precious, "--out", precious, says="wanted --out to be a new file or a saved model")
    refused("train", *short, "--out", folder / "h.jsonl", says="wanted --out to be a new file or a saved model")
    for kind, path in (("history", precious), ("history", model), ("trace", precious), ("trace", model), ("trace", folder / "t.json")):
        refused("train", *short, "--out", rest, f"--{kind}", path, says=f"wanted --{kind} to be a new file or a {kind}, '{path}' is another file")
    refused("train", "--resume", model, "--out", rest, "--trace", model, says="wanted --trace to be a new file")
    refused("train", "--resume", model, "--out", rest, "--history", model, says="wanted --history to be a new file")
    for path in (precious, model, folder / "h.jsonl"):
        refused("tune", "mlp", "--out", path, says="wanted --out to be a new file or a tuning file")
    for first, second in (("--out", "--history"), ("--out", "--trace"), ("--history", "--trace")):
        others = [] if first == "--out" else ["--out", rest]
        refused("train", *short, *others, first, folder / "new", second, folder / "." / "new", says=f"wanted different files for {first} and {second}")
    check(not (folder / "new").exists() and all(path.read_bytes() == content for path, content in before.items()), "a file was overwritten")

    # A model saved without its script, as from C++, is opened with --script.
    bare = folder / "bare.safetensors"
    edit_header(model, lambda header: header["__metadata__"].pop("wengert.script"), bare)
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

    # Files that are whole but cannot be used.
    broken = folder / "broken.safetensors"
    broken.write_bytes(model.read_bytes())
    set_all(broken, "fc1.weight", float("nan"))
    for command in (["evaluate", broken], ["predict", broken, folder / "one.png"]):
        refused(*command, says="broken.safetensors'] wanted finite parameters, 'fc1.weight' holds nan")
    broken.write_bytes(model.read_bytes())
    set_all(broken, "conv2.weight", 1e30)
    set_all(broken, "fc1.weight", 1e30)
    refused("evaluate", broken, says="gives values that are not finite")
    refused("predict", broken, folder / "one.png", says="one.png'] the network gives values that are not finite")

    def give_another_shape(header):
        header["optimiser.first.fc1.weight"]["shape"] = [1, *header["optimiser.first.fc1.weight"]["shape"]]
    edit_header(half, give_another_shape, broken)
    refused("train", "--resume", broken, "--out", rest, says="broken.safetensors'] wanted f32")

    def forge_input(header):
        header["__metadata__"]["wengert.script"] = header["__metadata__"]["wengert.script"].replace("[1, 28, 28]", "[1,65536,65536]")
    edit_header(model, forge_input, broken)
    refused("predict", broken, folder / "one.png", says="'input': wanted at most 16777216 numbers an image, got 4294967296")
    (folder / "strip.toml").write_text('input = [1, 1, 5000]\nlayers = [{ flatten = {} }, { linear = "fc", units = 2 }]\n')
    wengert("train", folder / "strip.toml", "--data", write_set(folder / "strip", 4, 1, 5000, classes=2), "--epochs", 1, "--quiet", "--out", broken)
    write_png(folder / "blank.png", 30, 30, [9] * 900)
    done = wengert("predict", broken, folder / "blank.png", status=2)
    check("blank.png'] [resize_area] wanted sides of 1 to 4096" in done.stderr, f"a picture that cannot be scaled: {done.stderr}")

    # A device that no machine has: one line, whether there is a driver or not; everything else runs.
    refused("train", "--device", "cuda:99", "--out", rest, says="[cuda:99] ")
    refused("bench", "step", "--device", "cuda:99", says="[cuda:99] ")
    refused("gradcheck", "relu", "--device", "cuda:99", says="[cuda:99] ")
    refused("evaluate", model, "--device", "tpu", says="tpu")

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
