"""tools/bench/compare.py prints a table of ours and names the peers that are absent; its files compile, and the colour set can be trained on."""
import json
import math
import os
import pathlib
import py_compile
import subprocess
import sys
import tempfile

BENCH = pathlib.Path(os.environ["WENGERT_SOURCE"]) / "tools" / "bench"
WENGERT = os.environ["WENGERT_COMMAND"]
sys.path[:0] = [str(BENCH), str(BENCH / "peers")]
import common  # noqa: E402
from geometries import DIRECTIONS, GEOMETRIES  # noqa: E402
from systems import PEERS  # noqa: E402

assert len(GEOMETRIES) >= 40 and len(DIRECTIONS) == 3, len(GEOMETRIES)
assert all(len(shape.split(",")) == 10 for shape in GEOMETRIES.values())

with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    for script in [*BENCH.glob("*.py"), *BENCH.glob("peers/*.py")]:
        py_compile.compile(str(script), cfile=str(folder / "compiled"), doraise=True)

    out = folder / "out.json"
    done = subprocess.run(
        [sys.executable, BENCH / "compare.py", "--wengert", WENGERT, "--peers", folder / "none", "--sections", "step,conv", "--geometries", "report 1, batch 1", "--threads", "1",
         "--batches", "8", "--rounds", "3", "--steps", "2", "--warm-up", "1", "--ours", "im2col=step: --kernel im2col", "--out", out,
         "--yardstick", """toy=echo '{"threads": 1, "batch": 8, "ms_per_step": 0.5}'"""],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ")[0] for line in done.stdout.splitlines() if line.startswith("| ")]
    for wanted in ("| wengert", "| im2col", "| toy", "| report 1, batch 1, forward, 1T"):
        assert wanted in rows, done.stdout
    absent = [line for line in done.stdout.splitlines() if line.startswith("Absent, and skipped: ")]
    assert absent and all(peer in absent[0] for peer in PEERS), done.stdout
    assert "wengert is " in done.stdout and "fastest of yardsticks" in done.stdout, done.stdout
    kept = json.loads(out.read_text())
    assert len(kept["cells"]["step"]["mnist_cnn, 1T, batch 8"]["wengert"]["rounds"]) == 3, kept["cells"]
    assert len(kept["cells"]["step"]["mnist_cnn, 1T, batch 8"]["toy"]["rounds"]) == 2, kept["cells"]

    done = subprocess.run([sys.executable, BENCH / "compare.py", "--sections", "speed"], capture_output=True, text=True)
    assert done.returncode != 0 and "wanted sections of" in done.stderr, done.stderr

    common.write_colour_set(folder / "colour")
    done = subprocess.run([WENGERT, "bench", "step", BENCH / "resnet32.toml", "--data", folder / "colour", "--batch", "4", "--steps", "1", "--warm-up", "0", "--json"],
                          capture_output=True, text=True)
    assert done.returncode == 0 and json.loads(done.stdout)["batch"] == 4, done.stderr
    summary = subprocess.run([WENGERT, "summary", BENCH / "resnet32.toml"], capture_output=True, text=True).stdout
    trained = 2 * sum(layer["channels"] for layer in common.flat(common.NETWORKS["resnet32"]["layers"]) if layer["kind"] == "norm")
    trained += sum(math.prod(shape) for _, shape, _ in common.parameters(common.NETWORKS["resnet32"]["layers"]))
    assert f"{trained:,} parameters" in summary, (trained, summary)  # the script declares what the peers train
