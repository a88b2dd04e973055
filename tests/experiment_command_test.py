"""`wengert experiment`: quick runs of every kind, going on where one stopped, what is in its folder, and what it refuses."""
import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from command_line import COMMAND, check, finish, refused, wengert


def rows_of(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


with tempfile.TemporaryDirectory() as name:
    folder = Path(name) / "results"
    done = wengert("experiment", "all", "--quick", "--out", folder, "--peers", "keras", "--peers-folder", Path(name) / "none")
    header, *rows = rows_of(folder)
    check(header["wengert_experiment"] == 1 and header["quick"] and header["processor"] and header["version"], f"header: {header}")
    found = {row["experiment"] for row in rows}
    check(found == {"speed", "accuracy", "batch", "rate", "examples", "curves", "recall", "shift", "ladder", "scaling"}, f"experiments: {found}")
    check(len({row["key"] for row in rows}) == len(rows), "a measurement stands twice")
    speed = [one for row in rows if row["experiment"] == "speed" for one in row["rows"]]
    ours = {one["implementation"]: one for one in speed if one["ms"] is not None}
    check({"naive", "matrix", "im2col", "direct", "plan"} <= ours.keys(), f"speed: {speed}")
    check(ours["plan"]["ms"] < ours["naive"]["ms"] and all(0 < one["low"] <= one["ms"] <= one["high"] for one in ours.values()), f"speed: {ours}")
    absent = {one["implementation"]: one["note"] for one in speed if one["ms"] is None}
    check(absent.get("CUDA") == "no device" and "setup-peers.sh tensorflow" in absent.get("Keras", ""), f"speed: {absent}")
    check({one["threads"] for one in ours.values() if one["implementation"] == "naive"} and any(one["implementation"] == "naive" and one["threads"] == 1 for one in speed),
          f"speed has no naive on one thread: {speed}")
    check(all("lasted" in row and row["build"] == rows[0]["build"] for row in rows), "rows do not say what they took and who made them")
    recall = next(row for row in rows if row["experiment"] == "recall")
    check(sum(map(sum, recall["confusion"])) == 10000 and all(len(one["pixels"]) == 2 * 784 for one in recall["worst"]), "recall: confusion or pictures")
    shift = [row for row in rows if row["experiment"] == "shift"]
    check({row["network"] for row in shift} == {"cnn", "mlp"} and all(row["accuracy"][0] > row["accuracy"][-1] > 0 for row in shift), f"shift: {shift}")
    for file in ("report.html", "speed.md", "speed.csv", "accuracy.md", "recall.csv"):
        check((folder / file).exists(), f"experiment all wrote no {file}: {done.stderr}")
    check("http" not in (folder / "report.html").read_text().replace("http://www.w3.org", ""), "report.html refers to the network")

    # A second run measures nothing; one that was cut short goes on.
    before = (folder / "results.jsonl").read_bytes()
    check("0 measurements to make" in wengert("experiment", "all", "--quick", "--out", folder, "--peers", "keras", "--peers-folder", Path(name) / "none").stderr,
          "a finished run measures again")
    check((folder / "results.jsonl").read_bytes() == before, "a finished run changes its results")
    lines = before.splitlines(keepends=True)
    (folder / "results.jsonl").write_bytes(b"".join(lines[:-2]) + lines[-2][:30])
    check("2 measurements to make" in wengert("experiment", "--peers", "none", "all", "--quick", "--out", folder).stderr, "a run that was cut short does not go on")
    check([row["key"] for row in rows_of(folder)[1:]] == [row["key"] for row in rows], "results after a run that was cut short")
    wengert("experiment", "report", "--out", folder)

    # Ctrl-C ends behind the running measurement, and keeps it; a second one drops it.
    def interrupted(times, at, *arguments):
        process = subprocess.Popen([COMMAND, "experiment", *arguments], stderr=subprocess.PIPE, text=True)
        for line in process.stderr:
            if f"[{at}/" in line:
                break
        for i in range(times):
            process.send_signal(signal.SIGINT)
            if i == 0:
                for line in process.stderr:
                    if "once more drops it" in line:
                        break
        return process.communicate(timeout=300)[1], process.returncode

    stopped, dropped = Path(name) / "stopped", Path(name) / "dropped"
    error, status = interrupted(1, 2, "ladder", "--quick", "--peers", "none", "--out", stopped)
    check("goes on where it stopped" in error and status == 130, f"Ctrl-C: status {status}, {error}")
    check(len(rows_of(stopped)) == 3, f"results behind Ctrl-C: {rows_of(stopped)}")
    start = time.monotonic()
    error, status = interrupted(2, 1, "accuracy", "--peers", "none", "--out", dropped)  # naive's epoch takes a minute and more
    check(status == -signal.SIGINT and time.monotonic() - start < 30, f"a second Ctrl-C: status {status}, {error}")
    check(len(rows_of(dropped)) == 1, f"results behind a second Ctrl-C: {rows_of(dropped)}")

    # A peer that fails is told, and asked again; one that waits ends with a command that is killed.
    peers = Path(name) / "peers"
    program = peers / "torch/bin/python"
    program.parent.mkdir(parents=True)
    pid = peers / "pid"

    def fake(script):
        program.write_text(f"#!/bin/sh\necho $$ > {pid}\n{script}")
        program.chmod(0o755)

    with_fake = ("experiment", "curves", "--quick", "--peers", "pytorch", "--peers-folder", peers, "--out", Path(name) / "fake")
    fake("echo 'ImportError: libfoo' >&2; exit 1")
    wengert(*with_fake)
    told = rows_of(Path(name) / "fake")[-1]
    check("exit code 1: ImportError: libfoo" in told["note"] and "peers" not in told, f"a peer that fails: {told}")
    fake("""echo '{"version":"9"}'; read request; echo '{"epoch_loss":[1.5],"epoch_accuracy":[0.5],"seconds":1}'; sleep 60""")
    check("1 measurements to make" in wengert(*with_fake).stderr, "a peer that failed is not asked again")
    told = rows_of(Path(name) / "fake")[-1]
    check(told["accuracy"] == [0.5] and told["peers"] == ["pytorch"], f"a peer that answers: {told}")
    check("0 measurements to make" in wengert(*with_fake).stderr, "a peer that answered is asked again")
    fake("sleep 600")
    pid.unlink()
    process = subprocess.Popen([COMMAND, *with_fake[:-1], Path(name) / "killed"], stderr=subprocess.DEVNULL)
    while not pid.exists() or not pid.read_text().strip():
        time.sleep(0.05)
    process.kill()
    process.wait()
    peer = int(pid.read_text())
    for _ in range(100):
        if not Path(f"/proc/{peer}").exists() or ") Z " in Path(f"/proc/{peer}/stat").read_text():
            break
        time.sleep(0.05)
    else:
        check(False, "a peer outlives a command that was killed")

    refused("experiment", "sped", "--out", folder, says="did you mean 'speed'")
    refused("experiment", "speed", "--peers", "kears", "--out", folder, says="did you mean 'keras'")
    refused("experiment", "speed", "--peers", "keras,none", "--out", folder, says="wanted --peers none alone")
    refused("experiment", "speed", "--threads", "1,,2", "--out", folder, says="between commas, got '1,,2'")
    refused("experiment", "speed", "--threads", "1,two", "--out", folder, says="wanted --threads with whole numbers from 0 (all) to 1024, got 'two'")
    refused("experiment", "speed", "--out", "/dev/null/x", says="/dev/null/x")
    refused("experiment", "report", "--out", Path(name) / "nothing", says="found No such file")
    refused("experiment", "recall", "--out", folder, says="holds results of quick true, this is false")
    other = json.loads(lines[0])
    other["version"] = "0.0.1"
    (folder / "results.jsonl").write_bytes(json.dumps(other).encode() + b"\n" + b"".join(lines[1:]))
    refused("experiment", "ladder", "--quick", "--peers", "none", "--out", folder, says='holds results of version "0.0.1"')
    wengert("experiment", "ladder", "--quick", "--peers", "none", "--out", folder, "--force")
    check((folder / "results.old.jsonl").exists() and rows_of(folder)[0]["version"] == header["version"], "--force")
    broken = b"".join(lines[:3]) + b"not JSON\n" + b"".join(lines[3:])  # nothing behind a line that is no result may be lost
    (folder / "results.jsonl").write_bytes(broken)
    refused("experiment", "ladder", "--quick", "--peers", "none", "--out", folder, says="found something else in line 4")
    check((folder / "results.jsonl").read_bytes() == broken, "a broken results file was changed")
    notes = Path(name) / "notes"
    notes.mkdir()
    (notes / "results.jsonl").write_text("my notes\n")
    refused("experiment", "ladder", "--quick", "--peers", "none", "--out", notes, "--force", says="found something else")
    check((notes / "results.jsonl").read_text() == "my notes\n", "--force overwrote what is no results file")

finish()
