"""Data sets of the user's own: --data of every command, the set that a saved model remembers, and sets that do not fit."""
import json
import shutil
import tempfile
from pathlib import Path

from command_line import check, finish, refused, wengert, write_idx, write_png, write_set

SMALL = """
name = "small"
input = [1, 12, 12]
layers = [{ flatten = {} }, { linear = "fc", units = 10 }]
[train]
batch = 8
"""


def metadata(path):
    content = path.read_bytes()
    return json.loads(content[8:8 + int.from_bytes(content[:8], "little")])["__metadata__"]


def probabilities(*arguments):
    return [entry["probabilities"] for entry in json.loads(wengert("predict", *arguments, "--json").stdout)]


with tempfile.TemporaryDirectory(prefix="wengert dätä ") as name:
    folder = Path(name).resolve()
    rows, large = write_set(folder / "rows", 40, 12, 12), write_set(folder / "large", 20, 64, 64)
    script, model, other, rest = folder / "small.toml", *(folder / f"{n}.safetensors" for n in ("model", "other", "rest"))
    script.write_text(SMALL)

    # Every setting of a training acts, and is saved.
    train = ["train", script, "--data", rows, "--quiet", "--epochs", 2]
    wengert(*train, "--out", model)
    check(metadata(model)["wengert.data_source"] == str(rows), f"the model remembers {metadata(model)['wengert.data_source']}")
    for option, key, value in ((["--rate", 0.5], "rate", "0.5"), (["--seed", 5], "seed", "5"), (["--kernel", "im2col,auto"], "kernel", "im2col,auto"),
                               (["--eager"], "execution", "eager"), (["--batch", 5], "batch", "5")):
        wengert(*train, *option, "--out", other)
        check(metadata(other)[f"wengert.{key}"] == value, f"train {option}: {metadata(other)}")
        check(other.read_bytes()[-2000:] != model.read_bytes()[-2000:] or key in ("kernel", "execution"), f"train {option} changes nothing")
    wengert("train", "--examples", 64, "--epochs", 1, "--kernel", "im2col", "--quiet", "--out", other)
    check(metadata(other)["wengert.kernel"] == "im2col" and metadata(other)["wengert.data_source"] == "MNIST", f"train --kernel: {metadata(other)}")
    wengert("train", "small.toml", "--data", "rows/", "--quiet", "--epochs", 2, "--out", "rest.safetensors", cwd=folder)
    check(rest.read_bytes() == model.read_bytes(), "a relative folder gives another model")

    # A saved model goes on, and is judged, on the set that it was trained on, and says so; --data chooses another.
    out = wengert("evaluate", model, "--json")
    check(json.loads(out.stdout)["images"] == 40 and f"the data set is '{rows}'" in out.stderr, f"evaluate: {out}")
    done = wengert("evaluate", model, "--data", write_set(folder / "few", 7, 12, 12), "--json")
    check(json.loads(done.stdout)["images"] == 7 and done.stderr == "", f"evaluate --data: {done}")
    check(json.loads(wengert("predict", model, "--index", 3, "--json").stdout)[0]["label"] == 3, "predict --index takes another set")
    check(probabilities(model, "--index", 3, "--data", rows) == probabilities(model, "--index", 3), "predict --data differs")
    refused("predict", model, "--index", 7, "--data", folder / "few", says="[0,7)")
    wengert(*train, "--steps", 3, "--out", other)
    wengert("train", "--resume", other, "--quiet", "--out", rest)
    check(rest.read_bytes() == model.read_bytes(), "a resumed training differs from the uninterrupted one")
    shutil.move(rows, folder / "moved")
    for command in (["evaluate", model], ["predict", model, "--index", 0], ["train", "--resume", other, "--out", rest]):
        refused(*command, says=f"was trained on '{rows}', which is gone: name the folder of the data set with --data")
        wengert(*command, "--data", folder / "moved")
    refused("train", "--resume", other, "--data", folder / "few", "--out", rest, "--quiet", says="wanted the data of the resumed training")
    shutil.move(folder / "moved", rows)

    # A set that the script names is found beside the product, wherever that lies; the model keeps the script's word.
    named = folder / "named.toml"
    named.write_text(f'data = "mnist"\n' + SMALL.replace("12, 12", "28, 28"))
    wengert("train", named, "--examples", 64, "--epochs", 1, "--quiet", "--out", other)
    check(metadata(other)["wengert.data_source"] == "mnist", f"a script's set: {metadata(other)}")
    check(wengert("evaluate", other, "--json").stderr == "", "a script's set is taken for one of --data")

    # The choice between dark on light and light on dark, turned round.
    write_png(folder / "bar.png", 12, 12, [255 if y == 3 else 0 for y in range(12) for x in range(12)])
    write_png(folder / "dark.png", 12, 12, [0 if y == 3 else 255 for y in range(12) for x in range(12)])
    plain, dark, inverted = (probabilities(model, folder / picture, *more) for picture, more in (("bar.png", []), ("dark.png", []), ("bar.png", ["--invert"])))
    check(plain == dark and plain != inverted, "predict --invert does not turn the choice round")

    # Another number of epochs stretches a schedule over the whole run: that is said.
    wengert("train", "--examples", 64, "--epochs", 2, "--steps", 1, "--quiet", "--out", other)
    done = wengert("train", "--resume", other, "--epochs", 3, "--quiet", "--out", rest)
    check("was to have 2 epochs; with 3 its one_cycle schedule is another one" in done.stderr, f"--resume --epochs: {done.stderr}")
    check("epochs" not in wengert("train", "--resume", other, "--epochs", 2, "--quiet", "--out", rest).stderr, "a warning of the same epochs")
    check("epochs" not in wengert("train", "--resume", model, "--epochs", 3, "--quiet", "--out", rest).stderr, "a constant schedule is said to differ")

    # Sets that do not fit.
    for command in (["evaluate", model], ["predict", model, "--index", 0], ["predict", model, "--index", 0, "--eager"], ["train", script, "--quiet", "--out", rest]):
        refused(*command, "--data", large, says="wanted images (1,12,12), the set ")
    fewer = write_set(folder / "fewer", 40, 12, 12, labels=[0] * 39)
    beyond = write_set(folder / "beyond", 40, 12, 12, labels=[0] * 39 + [10])
    for command in (["evaluate", model], ["train", script, "--quiet", "--out", rest]):
        refused(*command, "--data", fewer, says="wanted as many labels as images, found 40 images")
        refused(*command, "--data", beyond, says="wanted labels in [0,10), the set ")
    (rows / "t10k-labels-idx1-ubyte").unlink()
    refused("evaluate", model, says="t10k-labels")
    write_idx(rows / "t10k-labels-idx1-ubyte", (40,), [0] * 20)
    refused("evaluate", model, says="rows")

finish()
