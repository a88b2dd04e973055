"""`wengert train` interrupted and resumed, its history file whatever happens, and its progress bar."""
import contextlib
import fcntl
import json
import os
import pty
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from command_line import COMMAND, check, check_error, finish, refused, shown, wengert

sys.path.append(str(Path(os.environ["WENGERT_SOURCE"]) / "tools" / "bench" / "peers"))
from common import read_safetensors  # noqa: E402

TINY = """
name = "tiny"
input = [1, 28, 28]
layers = [{ flatten = {} }, { linear = "fc", units = 10 }]
[train]
batch = 50
optimiser = { sgd = { rate = 0.01 } }
"""


class Training:
    """A `wengert train` that runs while the test does something to it."""

    def __init__(self, *arguments):
        self.arguments = arguments
        self.process = subprocess.Popen([COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_for_epochs(self, count):
        for line in self.process.stdout:
            count -= line.startswith("epoch ")
            if count == 0:
                return
        check(False, f"{shown(self.arguments)}: ended before {count} more epochs: {self.process.stderr.read()}")

    def stop(self, number, status=0):
        """Sends the signal; returns the step after which the training stopped, and what it wrote to standard error."""
        self.process.send_signal(number)
        last = self.process.stdout.read().strip().splitlines()[-1:]
        error = self.process.stderr.read()
        check(self.process.wait(timeout=600) == status, f"{shown(self.arguments)}: status {self.process.returncode}, wanted {status}\n{error}")
        words = last[0].split() if last else []
        check(words[:2] == ["interrupted;", "saved"], f"{shown(self.arguments)}: wanted 'interrupted; saved', got {last}")
        return (int(words[-1]) if words and words[-1].isdigit() else 0), error


def on_a_terminal(*arguments, columns=200, terminal="xterm"):
    """What the command writes to a terminal that is both its standard output and error."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([COMMAND, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=its, stderr=its, env={**os.environ, "TERM": terminal})
    os.close(its)
    text = b""
    with contextlib.suppress(OSError):  # which is how a terminal ends on Linux
        while part := os.read(ours, 1 << 16):
            text += part
    os.close(ours)
    check(process.wait(timeout=600) == 0, f"{shown(arguments)} on a terminal: {text!r}")
    return text.decode()


def epochs(path):
    """The lines of a history, without the times."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: line[key] for key in line if key not in ("seconds", "images_per_second")} for line in lines]


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    script, half, rest, whole = folder / "tiny.toml", *(folder / f"{n}.safetensors" for n in ("half", "rest", "whole"))
    script.write_text(TINY)

    # Stopped by a signal, resumed, and the same without the stop: more epochs than ever come to an end, so that the signal always comes first.
    endless = ["--examples", 700, "--validation", 100, "--batch", 32, "--epochs", 100000]
    choosing = ["--keep-best", "--patience", 100000]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        interrupted, uninterrupted = folder / f"{number}-interrupted.jsonl", folder / f"{number}-uninterrupted.jsonl"
        training = Training("train", *endless, *choosing, "--out", half, "--history", interrupted)
        training.wait_for_epochs(1)
        step, error = training.stop(number)
        check(step > 19 and error == "", f"{number}: stopped after step {step} with {error!r}")
        wengert("train", "--resume", half, "--steps", 30, "--quiet", "--out", rest, "--history", interrupted)
        wengert("train", *endless, *choosing, "--steps", step + 30, "--quiet", "--out", whole, "--history", uninterrupted)
        check(whole.read_bytes() == rest.read_bytes(), f"{number}: after the stop at step {step} the resumed training differs from the uninterrupted one")
        check(epochs(interrupted) == epochs(uninterrupted), f"{number}: histories differ:\n{epochs(interrupted)}\n{epochs(uninterrupted)}")
        check([line["epoch"] for line in epochs(interrupted)] == list(range(1, (step + 30) // 19 + 1)), f"{number}: {epochs(interrupted)}")

    # A previous history stays until an epoch of the new training has ended.
    tiny = ["train", script, "--examples", 200, "--quiet"]
    history = folder / "history.jsonl"
    wengert(*tiny, "--epochs", 3, "--out", whole, "--history", history)
    three = history.read_text()
    check(len(epochs(history)) == 3, f"three epochs: {three}")
    wengert(*tiny, "--epochs", 2, "--steps", 3, "--out", half, "--history", history)
    check(history.read_text() == three, f"no epoch has ended, yet the history became {history.read_text()}")
    wengert("train", "--resume", half, "--quiet", "--out", rest, "--history", history)
    check([line["step"] for line in epochs(history)] == [4, 8], f"resumed: {epochs(history)}")
    wengert(*tiny, "--epochs", 1, "--out", rest, "--history", history)
    check([line["step"] for line in epochs(history)] == [4], f"anew: {epochs(history)}")

    # What cannot be written or continued is refused before anything is trained.
    rest.unlink()
    refused(*tiny, "--out", rest, "--history", folder / "absent" / "history.jsonl", says="absent/history.jsonl")
    refused(*tiny, "--out", rest, "--history", "/dev/full", says="/dev/full")
    history.write_text("a shopping list\n")
    refused("train", "--resume", half, "--quiet", "--out", rest, "--history", history, says="wanted --history to be a new file or a history")
    history.write_text('{"step": 1}\na shopping list\n')
    refused("train", "--resume", half, "--quiet", "--out", rest, "--history", history, says="found something else in line 2")
    check(history.read_text() == '{"step": 1}\na shopping list\n' and not rest.exists(), "a refused training wrote something")

    # A full disk, as a limit that the history exceeds and the model does not: the model is saved, the history stays, the error is told.
    wengert("train", "--resume", half, "--quiet", "--out", whole)
    limit = 2 * whole.stat().st_size
    long = '{"step": 1}\n' * (limit // 12)
    history.write_text(long)
    arguments = ["train", "--resume", half, "--quiet", "--out", rest, "--history", history]
    done = wengert(*arguments, status=2, restore_signals=False,  # Python ignores SIGXFSZ, and so the command does
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    check_error(arguments, done.stderr, f"[save '{history}'] wanted to write the file, found: File too large")
    check(history.read_text() == long, "a history that could not be written changed")
    check(rest.read_bytes() == whole.read_bytes(), "the model of a training without a history differs")

    # A history that can no longer be written is an error in the end, after the training and its saving.
    (folder / "there").mkdir()
    training = Training("train", script, "--examples", 200, "--epochs", 100000, "--out", rest, "--history", folder / "there" / "history.jsonl")
    training.wait_for_epochs(1)
    (folder / "there").rename(folder / "gone")
    training.wait_for_epochs(2)
    rest.unlink(missing_ok=True)
    step, error = training.stop(signal.SIGINT, status=2)
    check_error(training.arguments, error, "there/history.jsonl'] wanted to create a file in its folder, found: No such file or directory")
    check(rest.exists() and 1 <= len(epochs(folder / "gone" / "history.jsonl")) <= step // 4, "the model or the history is gone")

    # A reader of its output that goes is no reason to lose a training.
    rest.unlink()
    broken = subprocess.run(f"'{COMMAND}' train '{script}' --examples 200 --epochs 40 --out '{rest}' | head -1", shell=True, capture_output=True, text=True)
    check(rest.exists() and "standard output" in broken.stderr, f"a closed pipe: {broken}")

    # A bar on a terminal that can draw one, as wide as it, gone in the end; the lines stay.
    wide = on_a_terminal("train", script, "--examples", 2000, "--epochs", 1, "--out", rest)
    bars = [part for part in wide.split("\r") if part.startswith("epoch 1/1 [")]
    check(bars and all("images/s" in bar and "s left" in bar for bar in bars), f"no bar on a terminal: {wide!r}")
    check("[" + "=" * 24 + "]" in bars[-1] and "\x1b[K" in wide and "saved" in wide, f"the bar does not fill or stays: {wide!r}")
    narrow = on_a_terminal("train", script, "--examples", 2000, "--epochs", 1, "--out", rest, columns=30)
    check(all(len(part) < 30 for part in narrow.split("\r") if part.startswith("epoch 1/1 [")), f"the bar wraps: {narrow!r}")
    for plain in (on_a_terminal("train", script, "--examples", 2000, "--epochs", 1, "--out", rest, terminal="dumb"),
                  on_a_terminal("train", script, "--examples", 2000, "--epochs", 1, "--quiet", "--out", rest)):
        check("[=" not in plain and "\x1b" not in plain, f"a bar where none is wanted: {plain!r}")

    # A start written down: nothing is trained; the weights are those of a training with next to no rate, the orders and rates those of all steps.
    adam = folder / "adam.toml"
    adam.write_text(TINY.replace("sgd = { rate = 0.01 }", "adam = { rate = 1e-30, beta1 = 0.9 }"))
    start = folder / "starts" / "one"
    first = ["train", adam, "--examples", 230, "--validation", 10, "--epochs", 3, "--seed", 5]
    wengert(*first, "--steps", 7, "--export-start", start, cwd=folder)
    check(not (folder / "model.safetensors").exists(), "--export-start wrote a model")
    settings = json.loads((start / "settings.json").read_text())
    check(settings == {"batch": 50, "epochs": 3, "examples": 220, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "steps": 7, "rates": [1e-30] * 15}, f"{settings}")
    order = struct.unpack("<660i", (start / "order.i32").read_bytes())
    orders = [order[at:at + 220] for at in (0, 220, 440)]
    check(all(sorted(one) == list(range(220)) for one in orders) and len(set(orders)) == 3, f"orders: {orders}")
    wengert(*first, "--quiet", "--out", whole)
    initial, unchanged = (read_safetensors(path)[1]["fc.weight"] for path in (start / "initial.safetensors", whole))
    check(initial == unchanged, "the initial weights are not those of the training")
    check(wengert(*first, "--export-start", start).stdout == f"wrote {start}\n", "an earlier start is not written over")
    check(json.loads((start / "settings.json").read_text())["steps"] is None, "steps without --steps")
    refused(*first, "--export-start", folder, says="wanted a new or empty folder")
    refused(*first, "--export-start", script, says="wanted a folder for --export-start")
    refused(*first, "--export-start", start, "--resume", whole, says="wanted no --resume beside --export-start")
    refused(*tiny, "--export-start", start, says="wanted Adam without weight decay and rate groups")

    # A loss that is not finite after some steps: what was trained is saved, and the error says so.
    wild = folder / "wild.toml"
    wild.write_text(TINY.replace("0.01", "1e3").replace('{ linear = "fc"', '{ linear = "a", units = 32 }, { linear = "b", units = 32 }, { linear = "fc"'))
    rest.unlink()
    arguments = ["train", wild, "--examples", 2000, "--epochs", 200, "--quiet", "--out", rest]
    done = wengert(*arguments, status=2)
    check("; saved" in done.stderr and rest.exists(), f"diverged: {done.stderr}")

finish()
